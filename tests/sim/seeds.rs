//! The same scene from many seeds: a failure names the command that plays its seed again.

/// Plays a scene, which is the test of this name, from each of so many seeds; or from the one that
/// `SIM_SEED` names.
pub(crate) fn each<T>(test: &str, seeds: u64, mut scene: impl FnMut(u64) -> T) -> Vec<T> {
    let only =
        std::env::var("SIM_SEED").ok().map(|seed| seed.parse().expect("SIM_SEED is a number"));
    let seeds = only.map_or(0..seeds, |seed| seed..seed + 1);
    let play = |seed| {
        let _replay = Replay { test, seed };
        scene(seed)
    };
    seeds.map(play).collect()
}

struct Replay<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for Replay<'_> {
    #[expect(clippy::print_stderr, reason = "a failing test says how to repeat it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { test, seed } = self;
            eprintln!("again: SIM_SEED={seed} cargo test --test sim {test}");
        }
    }
}
