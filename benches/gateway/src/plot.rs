//! The results as a picture: for each kind of load a group of bars, which are CPU per request over that of nginx
//! (in microseconds where nginx does not take part), with the least and the most as a line.

use std::fmt::Write as _;

use crate::{peers::Peer, results::Results, statistics::Spread, variant::Variant};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 70.0;
const BAR: f64 = 16.0;
const GAP: f64 = 4.0;
const HEAD: f64 = 34.0;
const TOP: f64 = 30.0;
const FAR_LONGER: f64 = 1.5;

/// The whole picture.
pub(crate) fn svg(results: &Results) -> String {
    let mut body = String::new();
    let mut y = TOP;
    for variant in Variant::ALL {
        let bars = bars(results, variant);
        if !bars.is_empty() {
            y = group(&mut body, variant, &bars, y);
        }
    }
    let height = y + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU per request with {} tenants (nginx = 1)</text>\n{body}</svg>\n",
        results.tenants
    )
}

fn bars(results: &Results, variant: Variant) -> Vec<(Peer, Spread)> {
    let of = |peer: Peer| {
        let figures = results.peers.get(&peer)?.variants.get(&variant)?;
        Some((peer, figures.cost_ratio.unwrap_or(figures.cost)))
    };
    Peer::ALL.into_iter().filter_map(of).collect()
}

/// What the longest bar stands for. One that is far longer than all others is cut, so that these can be told apart.
fn scale(bars: &[(Peer, Spread)]) -> f64 {
    let mut ends: Vec<_> = bars.iter().map(|(_, spread)| spread.most).collect();
    ends.sort_by(|a, b| b.total_cmp(a));
    match *ends.as_slice() {
        [longest, second, ..] if longest > second * FAR_LONGER => second * FAR_LONGER,
        [longest, ..] => longest,
        [] => 1.0,
    }
}

/// Draws a group from `y` on, and returns where the next one begins.
fn group(body: &mut String, variant: Variant, bars: &[(Peer, Spread)], y: f64) -> f64 {
    let most = scale(bars);
    let at = |value: f64| LEFT + (value / most).min(1.0) * (WIDTH - LEFT - RIGHT);
    let unit = if bars.iter().any(|(peer, _)| *peer == Peer::Nginx) { "" } else { " (us)" };
    // Writing to a text never fails.
    let _ = writeln!(
        body,
        "<text x=\"10\" y=\"{:.1}\" font-weight=\"bold\">{}{unit}</text>",
        y + HEAD - 12.0,
        variant.title()
    );
    let mut y = y + HEAD;
    for (peer, spread) in bars {
        let Spread { median, least, most } = *spread;
        let (middle, text) = (y + BAR / 2.0, y + BAR - 4.0);
        let color = if *peer == Peer::Tenantry { "#2563eb" } else { "#9ca3af" };
        let _ = writeln!(
            body,
            "<text x=\"10\" y=\"{text:.1}\">{}</text><rect class=\"bar\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" \
             height=\"{BAR}\" fill=\"{color}\"/><line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\" \
             stroke=\"#111827\"/><text x=\"{:.1}\" y=\"{text:.1}\">{median:.2}</text>",
            peer.title(),
            at(median) - LEFT,
            at(least),
            at(most),
            at(most) + 6.0,
        );
        y += BAR + GAP;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_far_longer_does_not_flatten_the_others() {
        let bar = |most: f64| (Peer::Nginx, Spread { median: most, least: most, most });
        let check = |ends: &[f64], expected: f64| {
            let bars: Vec<_> = ends.iter().copied().map(bar).collect();
            assert!((scale(&bars) - expected).abs() < 1e-9, "{ends:?}: {}", scale(&bars));
        };
        check(&[1.0, 4.0, 3.0], 4.0);
        check(&[1.0, 4.0, 20.0], 6.0);
        check(&[2.0], 2.0);
    }
}
