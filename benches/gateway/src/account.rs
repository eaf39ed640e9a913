//! What processes have used, as `/proc` tells it.

use std::{fs, process, time::Duration};

/// Linux counts the time of processes in hundredths of a second for whoever asks (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A process and all that it started, as they are now.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![root] };
    let all: Vec<(u32, Stat)> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Some((id, stat(id)?)))
        .collect();
    let mut family = vec![root];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        family.extend(all.iter().filter(|(_, stat)| stat.parent == parent).map(|(id, _)| *id));
        at += 1;
    }
    family
}

/// The processor time that these processes have used, in user space and in the kernel.
pub(crate) fn processor_time(ids: &[u32]) -> Duration {
    ids.iter().filter_map(|id| stat(*id)).map(|stat| stat.used).sum()
}

/// The processor time that this process and those of its children have used that have ended.
fn own_time() -> Duration {
    stat(process::id()).map_or(Duration::ZERO, |stat| stat.used + stat.used_by_ended)
}

/// Memory of some processes, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident; what several share is counted for each.
    pub(crate) rss: u64,
    /// Resident; what several share is divided among them.
    pub(crate) pss: u64,
}

/// The memory that these processes have now.
pub(crate) fn memory(ids: &[u32]) -> Memory {
    ids.iter()
        .filter_map(|id| fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok())
        .map(|text| parse_memory(&text))
        .fold(Memory::default(), |sum, one| Memory {
            rss: sum.rss + one.rss,
            pss: sum.pss + one.pss,
        })
}

/// How busy the machine is, to tell how much of that was somebody else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    all: Duration,
    ours: Duration,
}

impl Busy {
    /// As it is now; `children` are those of this process that still run.
    pub(crate) fn now(children: &[u32]) -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self { all: parse_busy(&text), ours: own_time() + processor_time(children) }
    }

    /// How many cores others kept busy since then.
    pub(crate) fn others_since(self, earlier: Self, over: Duration) -> f64 {
        let all = self.all.saturating_sub(earlier.all);
        let ours = self.ours.saturating_sub(earlier.ours);
        all.saturating_sub(ours).as_secs_f64() / over.as_secs_f64()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    used: Duration,
    used_by_ended: Duration,
}

fn stat(id: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// proc_pid_stat(5). The name of the program is in parentheses and may hold anything.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
    let ticks = |number| field(number)?.parse().ok().map(|ticks: u32| TICK * ticks);
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        used: ticks(14)? + ticks(15)?,
        used_by_ended: ticks(16)? + ticks(17)?,
    })
}

/// User, nice, system, and both kinds of interrupts, of all processors together; proc_stat(5).
fn parse_busy(text: &str) -> Duration {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let ticks: Vec<u32> =
        line.split_ascii_whitespace().map(|ticks| ticks.parse().unwrap_or(0)).collect();
    [0, 1, 2, 5, 6]
        .into_iter()
        .filter_map(|field: usize| ticks.get(field))
        .map(|ticks| TICK * *ticks)
        .sum()
}

fn parse_memory(text: &str) -> Memory {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
    };
    Memory { rss: of("Rss:"), pss: of("Pss:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_whatever_the_program_is_called() {
        let text = "42 (a) b (c)) S 7 1 1 0 -1 4194304 10 0 0 0 150 50 3 4 20 0 1 0 99 0 0";
        let expected = Stat {
            parent: 7,
            used: Duration::from_secs(2),
            used_by_ended: Duration::from_millis(70),
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat("42 (a"), None);
    }

    #[test]
    fn waiting_is_not_being_busy() {
        let text = "cpu  100 10 40 9999 8888 3 7 5555 0 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_busy(text), Duration::from_millis(1600));
    }

    #[test]
    fn memory_is_read_by_name() {
        let text = "00400000-7fff ---p 0 00:00 0 [rollup]\nRss:      2048 kB\nPss:      1500 kB\nPss_Dirty: 9 kB\n";
        assert_eq!(parse_memory(text), Memory { rss: 2048, pss: 1500 });
    }

    #[test]
    fn this_process_is_in_its_own_family() {
        assert!(family(process::id()).contains(&process::id()));
        assert!(memory(&[process::id()]).rss > 0);
    }
}
