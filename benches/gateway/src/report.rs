//! The results as tables for people.

use std::fmt::Write as _;

use crate::{
    peers::Peer,
    results::{Measured, Results},
    statistics::Spread,
    variant::Variant,
};

/// All of it in Markdown.
pub(crate) fn table(results: &Results) -> String {
    let parts =
        [preamble(results), ratios(results), costs(results), rates(results), others(results)];
    let mut text = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    for (peer, found) in &results.left_out {
        // Writing to a text never fails.
        let _ = writeln!(text, "\n{} was left out: {}.", peer.title(), found);
    }
    text
}

fn preamble(results: &Results) -> String {
    let Results { machine, tenants, workers, rounds, seconds, cores_of_others, .. } = results;
    let versions = results.peers.iter();
    let versions: Vec<_> =
        versions.map(|(peer, measured)| format!("{} {}", peer.title(), measured.version)).collect();
    format!(
        "{}, {} cores; {}, Linux {}. {}. {tenants} tenants; workers of each proxy: {workers}; medians of {rounds} rounds of {seconds} s, with \
         the least and the most. Other programs kept {cores_of_others:.2} cores busy meanwhile.\n",
        machine.processor,
        machine.cores,
        machine.system,
        machine.kernel,
        versions.join(", "),
    )
}

/// One row for each proxy, one column for each kind of load; nothing, if nothing was measured.
fn matrix(
    results: &Results,
    title: &str,
    cell: impl Fn(&Measured, Variant) -> Option<String>,
) -> String {
    let measured = |variant: &Variant| {
        results.peers.values().any(|measured| cell(measured, *variant).is_some())
    };
    let variants: Vec<_> = Variant::ALL.into_iter().filter(measured).collect();
    if variants.is_empty() {
        return String::new();
    }
    let heads: String = variants.iter().map(|variant| format!(" {} |", variant.title())).collect();
    let mut text = format!("| {title} |{heads}\n|---|{}\n", "---|".repeat(variants.len()));
    for (peer, measured) in rows(results) {
        let cells = variants.iter().map(|variant| cell(measured, *variant));
        let cells: String =
            cells.map(|cell| format!(" {} |", cell.as_deref().unwrap_or("-"))).collect();
        let _ = writeln!(text, "| {} |{cells}", peer.title());
    }
    text
}

fn rows(results: &Results) -> impl Iterator<Item = (Peer, &Measured)> {
    Peer::ALL.into_iter().filter_map(|peer| Some((peer, results.peers.get(&peer)?)))
}

fn ratios(results: &Results) -> String {
    let ratios = matrix(results, "CPU per request, nginx = 1", |measured, variant| {
        Some(spread(measured.variants.get(&variant)?.cost_ratio?, 2))
    });
    let Some(tenantry) = results.peers.get(&Peer::Tenantry) else { return ratios };
    let over_bare = tenantry.variants.iter().filter_map(|(variant, figures)| {
        Some(format!("{} {}", variant.title(), spread(figures.cost_over_bare?, 2)))
    });
    let over_bare: Vec<_> = over_bare.collect();
    if over_bare.is_empty() {
        return ratios;
    }
    format!("{ratios}\nTenantry over pingora with no policy: {}.\n", over_bare.join("; "))
}

fn costs(results: &Results) -> String {
    matrix(results, "CPU per request, us", |measured, variant| {
        Some(spread(measured.variants.get(&variant)?.cost, 1))
    })
}

fn rates(results: &Results) -> String {
    matrix(results, "requests a second", |measured, variant| {
        Some(format!("{:.0}", measured.variants.get(&variant)?.per_second.median))
    })
}

fn others(results: &Results) -> String {
    let mut text = format!(
        "| | p50 / p99 / p99.9 at {}/s, us | resident (shared divided), MiB | start, ms | change enforced, ms | after its answer, ms |\n\
         |---|---|---|---|---|---|\n",
        results.rate
    );
    for (peer, measured) in rows(results) {
        let of = |figure: Option<Spread>, digits| {
            figure.map_or_else(|| "-".to_owned(), |figure| spread(figure, digits))
        };
        let median = |figure: Option<Spread>| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{:.0}", figure.median))
        };
        let latencies = [measured.p50, measured.p99, measured.p999].map(median).join(" / ");
        let _ = writeln!(
            text,
            "| {} | {latencies} | {} ({}) | {} | {} | {} |",
            peer.title(),
            mebibytes(measured.rss_kib),
            mebibytes(measured.pss_kib),
            of(measured.start, 0),
            of(measured.change, 1),
            of(measured.change_after_answer, 1),
        );
    }
    text
}

fn mebibytes(kib: u64) -> u64 {
    (kib + 512) / 1024
}

fn spread(figure: Spread, digits: usize) -> String {
    let Spread { median, least, most } = figure;
    format!("{median:.digits$} ({least:.digits$} - {most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plot, results::Figures};

    fn results() -> Results {
        let spread = |median: f64| Spread { median, least: median - 1.0, most: median + 1.0 };
        let measured = |cost: f64| Measured {
            version: "1.2".to_owned(),
            rss_kib: 10_240,
            p50: Some(spread(90.0)),
            variants: [(
                Variant::Plain,
                Figures {
                    cost: spread(cost),
                    costs: vec![cost],
                    cost_over_bare: Some(spread(2.0)),
                    cost_ratio: Some(spread(cost / 10.0)),
                    per_second: spread(1e6 / cost),
                    per_second_ratio: None,
                },
            )]
            .into(),
            ..Measured::default()
        };
        Results {
            machine: crate::results::Machine::default(),
            tenants: 1000,
            workers: 2,
            rounds: 5,
            seconds: 3.0,
            rate: 5000,
            cores_of_others: 0.25,
            peers: [(Peer::Tenantry, measured(30.0)), (Peer::Nginx, measured(10.0))].into(),
            left_out: [(Peer::Caddy, "a host of nobody: 200 instead of 404".to_owned())].into(),
        }
    }

    #[test]
    fn a_table_has_a_row_for_each_and_says_who_is_missing() {
        let table = table(&results());
        for line in [
            "| CPU per request, nginx = 1 | HTTP/1.1 |",
            "| Tenantry | 3.00 (2.00 - 4.00) |",
            "| nginx | 10.0 (9.0 - 11.0) |",
            "Tenantry over pingora with no policy: HTTP/1.1 2.00 (1.00 - 3.00).",
            "| Tenantry | 33333 |",
            "| nginx | 90 / - / - | 10 (0) | - | - | - |",
            "Caddy was left out: a host of nobody: 200 instead of 404.",
        ] {
            assert!(table.lines().any(|found| found == line), "{line} in\n{table}");
        }
        assert!(table.contains("kept 0.25 cores busy") && table.contains("each proxy: 2;"));
    }

    #[test]
    fn what_there_is_nothing_to_compare_with_is_not_said() {
        let mut alone = results();
        alone.peers.remove(&Peer::Nginx);
        for figures in alone.peers.values_mut().flat_map(|it| it.variants.values_mut()) {
            (figures.cost_ratio, figures.cost_over_bare) = (None, None);
        }
        let table = table(&alone);
        assert!(!table.contains("nginx") && !table.contains("over pingora"), "{table}");
        assert!(table.contains("| Tenantry | 30.0 (29.0 - 31.0) |"), "{table}");
    }

    #[test]
    fn a_plot_has_a_bar_for_each() {
        let svg = plot::svg(&results());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("class=\"bar\"").count(), 2);
        assert!(svg.contains(">Tenantry<") && svg.contains(">3.00<"));
    }
}
