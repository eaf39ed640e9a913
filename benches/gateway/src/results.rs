//! What was measured, as it is written to `results.json`.

use std::{collections::BTreeMap, fs};

use serde::Serialize;

use crate::{
    account::Memory,
    peers::Peer,
    statistics::{Latency, Spread, ratios, spread},
    variant::Variant,
};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) tenants: usize,
    /// Of each proxy, each on a core.
    pub(crate) workers: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: u32,
    /// How many cores other programs kept busy on average.
    pub(crate) cores_of_others: f64,
    pub(crate) peers: BTreeMap<Peer, Measured>,
    /// Those that were not measured, and why: what they answered otherwise than the policy says.
    pub(crate) left_out: BTreeMap<Peer, String>,
}

/// Where it was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) system: String,
}

/// One proxy.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) version: String,
    /// Milliseconds from its start to its first right answer.
    pub(crate) start: Option<Spread>,
    /// After the first kind of load, in KiB.
    pub(crate) rss_kib: u64,
    pub(crate) pss_kib: u64,
    /// Milliseconds from the beginning of a change until every connection is answered by it.
    pub(crate) change: Option<Spread>,
    /// The same from when the change was accepted (for Tenantry: the API's answer).
    pub(crate) change_after_answer: Option<Spread>,
    /// How long answers took at the fixed rate, in microseconds.
    pub(crate) p50: Option<Spread>,
    pub(crate) p99: Option<Spread>,
    pub(crate) p999: Option<Spread>,
    pub(crate) variants: BTreeMap<Variant, Figures>,
}

/// One proxy under one kind of load.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Microseconds of a core for each request.
    pub(crate) cost: Spread,
    /// The same of each round.
    pub(crate) costs: Vec<f64>,
    /// The same, over nginx in the same round.
    pub(crate) cost_ratio: Option<Spread>,
    /// The same, over pingora with no policy in the same round.
    pub(crate) cost_over_bare: Option<Spread>,
    pub(crate) per_second: Spread,
    pub(crate) per_second_ratio: Option<Spread>,
}

/// What the rounds gave, before it is put together.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) version: String,
    pub(crate) starts: Vec<f64>,
    pub(crate) changes: Vec<f64>,
    pub(crate) changes_after_answer: Vec<f64>,
    pub(crate) memory: Memory,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) loads: BTreeMap<Variant, Vec<Load>>,
}

/// One turn of one proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) cost: f64,
    pub(crate) per_second: f64,
}

/// Puts the rounds of one proxy together; `all` are those of all that took part.
pub(crate) fn measured(peer: Peer, all: &BTreeMap<Peer, Rounds>) -> Measured {
    let Some(rounds) = all.get(&peer) else { return Measured::default() };
    let latency =
        |part: fn(&Latency) -> f64| spread(&rounds.latencies.iter().map(part).collect::<Vec<_>>());
    let variants = rounds.loads.iter().filter_map(|(variant, loads)| {
        let of = |peer| {
            let loads = all.get(&peer).and_then(|rounds: &Rounds| rounds.loads.get(variant));
            loads.map(Vec::as_slice).unwrap_or_default()
        };
        Some((*variant, figures(loads, of(Peer::Nginx), of(Peer::BarePingora))?))
    });
    Measured {
        version: rounds.version.clone(),
        start: spread(&rounds.starts),
        rss_kib: rounds.memory.rss,
        pss_kib: rounds.memory.pss,
        change: spread(&rounds.changes),
        change_after_answer: spread(&rounds.changes_after_answer),
        p50: latency(|latency| latency.p50),
        p99: latency(|latency| latency.p99),
        p999: latency(|latency| latency.p999),
        variants: variants.collect(),
    }
}

fn figures(loads: &[Load], nginx: &[Load], bare: &[Load]) -> Option<Figures> {
    let costs = |loads: &[Load]| loads.iter().map(|load| load.cost).collect::<Vec<_>>();
    let rates = |loads: &[Load]| loads.iter().map(|load| load.per_second).collect::<Vec<_>>();
    Some(Figures {
        cost: spread(&costs(loads))?,
        costs: costs(loads),
        cost_ratio: spread(&ratios(&costs(loads), &costs(nginx))),
        cost_over_bare: spread(&ratios(&costs(loads), &costs(bare))),
        per_second: spread(&rates(loads))?,
        per_second_ratio: spread(&ratios(&rates(loads), &rates(nginx))),
    })
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            let value = line.split_once([':', '=']).map(|(_, value)| value).unwrap_or_default();
            value.trim().trim_matches('"').to_owned()
        };
        Self {
            processor: value(&file("/proc/cpuinfo"), "model name"),
            cores: file("/proc/cpuinfo")
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: value(&file("/etc/os-release"), "PRETTY_NAME"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_with_those_of_nginx() {
        let rounds = |costs: [f64; 3]| {
            let loads = costs.map(|cost| Load { cost, per_second: 1e6 / cost }).to_vec();
            Rounds { loads: [(Variant::Plain, loads)].into(), ..Rounds::default() }
        };
        // The second round was disturbed, for both.
        let (nginx, other) = (rounds([10.0, 20.0, 10.0]), rounds([15.0, 30.0, 16.0]));
        let all = BTreeMap::from([(Peer::Nginx, nginx), (Peer::Tenantry, other)]);
        let measured = measured(Peer::Tenantry, &all);
        let figures = &measured.variants[&Variant::Plain];
        assert_eq!(figures.cost, Spread { median: 16.0, least: 15.0, most: 30.0 });
        assert_eq!(figures.cost_ratio, Some(Spread { median: 1.5, least: 1.5, most: 1.6 }));
        assert_eq!(figures.cost_over_bare, None, "nobody measured that");
    }
}
