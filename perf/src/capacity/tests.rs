//! Searches against simulated servers whose knee is known.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::measures::{Step, Verdict};
use crate::scenario::Scenario;

/// A server and a generator.
#[derive(Clone, Copy)]
struct Simulated {
    /// Passes every other time.
    knee: f64,
    /// How far one measurement's edge is from the next one's, as a share of the load (a normal
    /// distribution's deviation).
    noise: f64,
    /// Share of outcomes that are the wrong way round.
    wrong: f64,
    /// Above this the generator is the limit.
    generator: f64,
}

const QUIET: Simulated = Simulated { knee: 3.3, noise: 0.0, wrong: 0.0, generator: f64::INFINITY };

impl Simulated {
    fn measure(&self, load: f64, rng: &mut StdRng) -> Outcome {
        let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let carried = load < self.knee * (self.noise * normal).exp();
        let passed = carried != (rng.random::<f64>() < self.wrong);
        Outcome {
            passed,
            generator_limit: (load > self.generator).then(|| "packets left late".to_owned()),
            broke: (!passed).then(|| "added latency p99".to_owned()),
        }
    }

    fn search(&self, settings: Settings, seed: u64) -> Capacity {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut search = Search::new(settings);
        while let Some(load) = search.next_load() {
            search.note(load, self.measure(load, &mut rng));
            assert!(search.progress().0 <= settings.measurements, "it ends");
        }
        search.capacity()
    }
}

/// Of 200 searches: how many intervals hold the knee; the median of the intervals' widths and of
/// the estimates' errors as shares of the knee; the mean number of measurements.
fn two_hundred(of: impl Fn(&mut StdRng) -> Simulated) -> (usize, f64, f64, f64) {
    let (mut held, mut widths, mut errors, mut measurements) = (0, Vec::new(), Vec::new(), 0);
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(1000 + seed);
        let knee = (rng.random_range(0.3f64.ln()..40f64.ln())).exp();
        let server = Simulated { knee, ..of(&mut rng) };
        let found = server.search(Settings::default(), seed);
        let high = found.high.unwrap_or(f64::INFINITY);
        held += usize::from((found.low..=high).contains(&knee));
        widths.push((high - found.low) / knee);
        errors.push((found.load / knee - 1.0).abs());
        measurements += found.steps.len();
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    (held, median(widths), median(errors), measurements as f64 / 200.0)
}

#[test]
fn the_interval_holds_the_knee_of_a_server_without_noise() {
    let (held, width, error, measurements) = two_hundred(|_| QUIET);
    assert!(held >= 180, "{held} of 200");
    assert!(width < 0.14 && error < 0.03, "{width} {error}");
    assert!(measurements < 24.0, "{measurements}");
}

#[test]
fn the_interval_holds_the_knee_of_a_noisy_server() {
    for noise in [0.03, 0.10] {
        let (held, width, error, measurements) =
            two_hundred(|rng| Simulated { noise: noise * rng.random_range(0.5..1.3), ..QUIET });
        assert!(held >= 180, "noise {noise}: {held} of 200");
        assert!(width < 0.12 + 2.5 * noise, "noise {noise}: {width}");
        assert!(error < 0.02 + noise, "noise {noise}: {error}");
        assert!(measurements < 28.0, "noise {noise}: {measurements}");
    }
}

#[test]
fn outcomes_that_are_plainly_wrong_do_not_trap_it() {
    let wrong = |_: &mut StdRng| Simulated { noise: 0.03, wrong: 0.04, ..QUIET };
    let (held, _, error, _) = two_hundred(wrong);
    assert!(held >= 180, "{held} of 200");
    assert!(error < 0.05, "{error}");

    // The first load that counts fails, and so does the one after it, on a server that carries 30.
    let mut search = Search::new(Settings::default());
    let mut rng = StdRng::seed_from_u64(1);
    let server = Simulated { knee: 30.0, ..QUIET };
    while let Some(load) = search.next_load() {
        let mut outcome = server.measure(load, &mut rng);
        if search.progress().0 == 2 {
            outcome.passed = false;
        }
        search.note(load, outcome);
    }
    let found = search.capacity();
    let high = found.high.unwrap_or(f64::INFINITY);
    assert!((found.low..=high).contains(&30.0), "{}", render(&found));
}

#[test]
fn the_warm_up_says_nothing() {
    let after = |warm_up: bool| {
        let mut search = Search::new(Settings::default());
        let mut rng = StdRng::seed_from_u64(1);
        search.note(1.0, Outcome { passed: warm_up, ..Outcome::default() });
        while let Some(load) = search.next_load() {
            search.note(load, QUIET.measure(load, &mut rng));
        }
        search.capacity()
    };
    let (good, bad) = (after(true), after(false));
    assert_eq!((good.load, good.low, good.high), (bad.load, bad.low, bad.high));
    assert_eq!(good.steps[1..], bad.steps[1..]);
}

#[test]
fn where_the_generator_is_the_limit_the_answer_is_at_least() {
    let found = Simulated { generator: 6.0, knee: 20.0, ..QUIET }.search(Settings::default(), 1);
    assert!((5.5..=6.0).contains(&found.load), "{}", render(&found));
    assert_eq!(found.high, None);
    assert_eq!(found.limited_by.as_deref(), Some("packets left late"));
    assert!(found.finished && found.steps.len() < 20, "{}", render(&found));
    assert!(render(&found).contains("or more (packets left late)"), "{}", render(&found));

    // The knee is between the last load that passed and the generator's limit.
    let found = Simulated { generator: 4.0, ..QUIET }.search(Settings::default(), 1);
    assert!((3.1..3.5).contains(&found.load), "{}", render(&found));
    assert_eq!(found.limited_by, None);

    // Too weak for anything.
    let found = Simulated { generator: 0.0, ..QUIET }.search(Settings::default(), 1);
    assert_eq!((found.load, found.high), (0.0, None));
    assert!(render(&found).contains("nothing was learned"), "{}", render(&found));
    assert!(found.steps.len() < 20, "{}", render(&found));
}

#[test]
fn one_hiccup_of_the_generator_is_no_limit() {
    let mut search = Search::new(Settings::default());
    let mut rng = StdRng::seed_from_u64(1);
    while let Some(load) = search.next_load() {
        let mut outcome = QUIET.measure(load, &mut rng);
        if search.progress().0 == 2 {
            outcome.generator_limit = Some("late".into());
        }
        search.note(load, outcome);
    }
    let found = search.capacity();
    assert_eq!(found.limited_by, None);
    assert!((3.2..3.4).contains(&found.load), "{}", render(&found));
}

#[test]
fn a_server_that_never_fails_and_one_that_always_does() {
    let never = Simulated { knee: 1e9, ..QUIET };
    let found = never.search(Settings { highest: 50.0, ..Settings::default() }, 1);
    assert_eq!((found.load, found.high), (50.0, None));
    assert!(found.limited_by.as_deref().is_some_and(|limit| limit.contains("50")));
    assert!(found.finished && found.steps.len() < 15, "{}", render(&found));

    let always = Simulated { knee: 1e-9, ..QUIET }.search(Settings::default(), 1);
    assert_eq!((always.load, always.low), (0.0, 0.0));
    assert!(always.high.is_some_and(|high| high < 0.03), "{}", render(&always));
    assert!(always.finished && always.steps.len() < 16, "{}", render(&always));
    assert_eq!(always.broke.as_deref(), Some("added latency p99"));
    assert!(render(&always).contains("no load holds the limits"));
}

#[test]
fn loads_are_whole_rooms() {
    let scenario = Scenario::load("meetings-20", &[]).unwrap();
    let settings = Settings::of(&scenario);
    assert_eq!((settings.start, settings.parts), (0.25, 2));
    let found = Simulated { knee: 2.6, ..QUIET }.search(settings, 1);
    let whole = |load: f64| (load / 0.5).fract() == 0.0;
    assert!(found.steps.iter().all(|tried| whole(tried.load)), "{}", render(&found));
    assert!(found.low <= 2.6 && found.high.is_some_and(|high| high >= 2.6), "{}", render(&found));
    assert!(found.finished, "{}", render(&found));
}

#[test]
fn a_step_tells_what_broke_most() {
    let verdict = |what: &str, ratio: f64| Verdict {
        what: what.to_owned(),
        value: String::new(),
        limit: String::new(),
        ratio,
        ok: ratio <= 1.0,
    };
    let verdicts = vec![verdict("loss", 1.5), verdict("freeze", 3.0), verdict("join", 0.5)];
    let outcome = Outcome::of(&Step { verdicts, ..Step::default() });
    assert!(!outcome.passed);
    assert_eq!(outcome.broke.as_deref(), Some("freeze"));
    assert!(!Outcome::of(&Step::default()).passed, "nothing was measured");
}

#[test]
fn the_answer_survives_being_written_down() {
    let found = QUIET.search(Settings::default(), 3);
    let text = serde_json::to_string(&found).unwrap();
    let read: Capacity = serde_json::from_str(&text).unwrap();
    assert_eq!(read.steps, found.steps);
    assert_eq!(read.broke.as_deref(), Some("added latency p99"));
    let shown = render(&found);
    assert!(shown.starts_with("load 3.") && shown.contains("warm-up"), "{shown}");
}
