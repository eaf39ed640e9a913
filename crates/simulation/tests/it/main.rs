//! A few hundred seeds, and each defect noticed. `SEED=n` runs one seed alone; many more run as
//! `cargo bench -p tenantry-benches --bench simulation`.

use tenantry_simulation::{Defect, Options, Tally, run};

const SEEDS: u64 = 300;
/// Fewer than in a bench run, so that each run is short.
const STEPS: usize = 700;

#[test]
fn at_rest_every_proxy_holds_what_the_control_plane_holds() {
    #[expect(clippy::disallowed_methods, reason = "whoever looks into a failure names its seed")]
    let seed = std::env::var("SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = seed.map_or(0..SEEDS, |seed| seed..seed + 1);
    // One that failed elsewhere may have been longer.
    let lengths = if seed.is_some() { &[STEPS, Options::default().steps][..] } else { &[STEPS] };
    let mut tally = Tally::default();
    for (seed, steps) in seeds.flat_map(|seed| lengths.iter().map(move |steps| (seed, *steps))) {
        match run(seed, Options { steps, defect: None }) {
            Ok(one) => tally = tally.plus(one),
            Err(failure) => panic!("{failure}"),
        }
    }
    // A simulation in which nothing happens proves nothing.
    let rare = [tally.caught_up, tally.full, tally.turned_away, tally.breaches, tally.restarts];
    assert!(seed.is_some() || rare.iter().all(|count| *count > SEEDS), "{tally:?}");
}

#[test]
fn every_defect_is_noticed() {
    for defect in Defect::ALL {
        let options = Options { defect: Some(defect), ..Options::default() };
        let noticed = (0..SEEDS).find_map(|seed| run(seed, options).err());
        let noticed = noticed.unwrap_or_else(|| panic!("{defect:?} is not noticed"));
        let again = run(noticed.seed, options).unwrap_err();
        assert_eq!(again, noticed, "the same seed does the same");
    }
}
