//! What readers of a report may rely on, shown on a made-up run.

use std::path::Path;

use crate::measures::{Finding, Run, Severity, Step};
use crate::report::compare::{self, Comparison};
use crate::report::grid::WIDTH;
use crate::report::{headline, html, read_json, sample, table, write_json};

/// What somebody who wants to break a page would call things.
const EVIL: &str = "</script><script>alert('1')</script><!-- & \"<b onclick='x'>";

#[test]
fn the_text_opens_with_what_the_machine_carries() {
    let text = table::render(&sample::run());
    let line = text.lines().next().unwrap();
    assert!(line.starts_with("Carries load 3: 2 352 streams, 187 k packets/s, "), "{line}");
    assert!(line.ends_with("3 150 ns a packet; adds p50 0.270, p99 0.621 ms."), "{line}");
    let beyond = "At load 4: added latency p99 is 10.42 ms, limit 5 ms; loss is 2.140 %";
    assert!(text.lines().nth(1).unwrap().starts_with(beyond), "{text}");
    let knees: Vec<_> = text.lines().filter(|line| line.starts_with("   ▸ 3 ")).collect();
    assert!(knees.len() >= 3, "{text}");
}

#[test]
fn findings_come_faults_first() {
    let text = table::render(&sample::run());
    let places = ["FAULT    loss-unexplained, load 4", "warning  latency", "note     virtual"];
    let places = places.map(|name| text.find(name).unwrap());
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("1 fault, 1 warning, 1 note"));
    let page = html::render(&sample::run());
    let places = ["\"fault\"", "\"warning\"", "\"note\""].map(|class| page.find(class).unwrap());
    assert!(places.is_sorted());
}

#[test]
fn what_is_carried_is_said_for_every_outcome() {
    let run = sample::run();
    let of = |steps: &[Step]| headline::verdict(&Run { steps: steps.to_vec(), ..run.clone() });
    assert_eq!(of(&run.steps), "Carries load 3");
    assert_eq!(of(&run.steps[..4]), "Carries load 3, the highest played");
    assert_eq!(of(&run.steps[..1]), "Carries load 0.5, the only one played");
    assert_eq!(of(&run.steps[4..]), "Does not carry load 4, the lowest played");
    assert_eq!(of(&[]), "Nothing was measured.");
    let unheld = Step { verdicts: vec![], ..run.steps[1].clone() };
    assert_eq!(of(&[unheld]), "Load 1, held against no limits");
}

#[test]
fn the_generators_limit_is_not_taken_for_the_servers() {
    let mut run = sample::run();
    run.steps[4].generator.limit = Some("one thread was busy for 98 % of the time".to_owned());
    let beyond = headline::beyond(&run);
    assert!(beyond.starts_with("At load 4 the generator was the limit"), "{beyond}");
    let text = table::render(&run);
    assert!(text.contains("Load 4: not the server but the generator: one thread"), "{text}");
    assert!(html::render(&run).contains("Load 4: not the server but the generator: one thread"));
}

#[test]
fn whatever_was_measured_fits_a_terminal_and_has_no_number_that_is_none() {
    for run in odd_runs() {
        let text = table::render(&run);
        check_text(&text);
        check_numbers(&without_data(&html::render(&run)));
    }
    for comparison in odd_comparisons() {
        check_text(&compare::table::render(&comparison));
        check_numbers(&without_data(&compare::html::render(&comparison)));
    }
}

#[test]
fn pages_ask_for_nothing_from_outside() {
    let pages = [html::render(&sample::run()), compare::html::render(&sample::comparison())];
    for page in pages {
        for asks in ["http:", "https:", "src=", "href=", "@import", "url(", "<link", "<img"] {
            assert!(!page.contains(asks), "{asks}");
        }
        assert_eq!(page.matches("<script").count(), 1, "the data, and nothing that runs");
        assert!(page.contains("default-src 'none'"));
        for tag in ["section", "svg", "table", "figure", "ul", "div", "tr", "th", "p", "text"] {
            let opened = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}

#[test]
fn a_page_shows_texts_and_does_not_obey_them() {
    for page in [html::render(&evil_run()), compare::html::render(&evil_comparison())] {
        assert_eq!(page.matches("<script").count(), 1);
        assert_eq!(page.matches("</script").count(), 1);
        assert!(!page.contains("<b onclick") && !page.contains("<!--"));
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)"));
    }
}

#[test]
fn a_page_carries_its_data() {
    for run in [sample::run(), evil_run()] {
        let page = html::render(&run);
        let data = page.split("id=\"data\">\n").nth(1).unwrap();
        let data = data.split("\n</script>").next().unwrap();
        let again: Run = serde_json::from_str(data).unwrap();
        assert_eq!(without_data(&html::render(&again)), without_data(&page));
    }
}

#[test]
fn the_scenario_of_a_page_can_be_played_again() {
    let run = sample::run();
    let page = html::render(&run);
    let text = page.split("<pre class=\"scenario\">").nth(1).unwrap();
    let text = text.split("</pre>").next().unwrap().replace("&quot;", "\"");
    assert_eq!(crate::scenario::Scenario::parse(&text, &[]).unwrap(), run.scenario);
}

#[test]
fn json_is_read_as_it_was_written() {
    let folder = std::env::temp_dir().join(format!("corinth-perf-report-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("run.json");
    write_json(&sample::run(), &path).unwrap();
    let again: Run = read_json(&path).unwrap();
    assert_eq!(without_data(&html::render(&again)), without_data(&html::render(&sample::run())));
    write_json(&sample::comparison(), &path).unwrap();
    let again: Comparison = read_json(&path).unwrap();
    let shown = |comparison| without_data(&compare::html::render(comparison));
    assert_eq!(shown(&again), shown(&sample::comparison()));

    let error = read_json::<Run>(&path).unwrap_err();
    assert!(format!("{error:#}").contains("run.json"), "{error:#}");
    std::fs::remove_dir_all(&folder).unwrap();
    for error in [read_json::<Run>(&path).unwrap_err(), write_json(&1, &path).unwrap_err()] {
        assert!(format!("{error:#}").contains("run.json: No such file"), "{error:#}");
    }
    assert!(write_json(&1, Path::new("/")).is_err());
}

#[test]
fn a_comparison_opens_with_its_first_ratio() {
    let text = compare::table::render(&sample::comparison());
    let line = text.lines().next().unwrap();
    assert!(line.starts_with("Server CPU a packet: corinth 3 780 ns, janus 12 200 ns; "), "{line}");
    assert!(text.contains("is 0.310 (0.242 to 0.374 over 3 pairs"), "{text}");
    assert!(text.contains("mediasoup is not installed"));
}

fn check_text(text: &str) {
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    check_numbers(text);
}

fn check_numbers(text: &str) {
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        assert!(!["NaN", "inf", "Infinity"].contains(&word), "{text}");
    }
}

fn without_data(page: &str) -> String {
    page.split("<script").next().unwrap().to_owned()
}

/// Runs that went wrong, or measured little, or much.
fn odd_runs() -> Vec<Run> {
    let run = sample::run();
    let with = |steps: Vec<Step>| Run { steps, ..run.clone() };
    let bare = Step { load: 1.0, ..Step::default() };
    let elsewhere = |step: &Step| Step { process: None, counters: None, ..step.clone() };
    let many = (1..=60).map(|load| sample::step(f64::from(load) / 7.0)).collect();
    vec![
        run.clone(),
        with(vec![]),
        with(vec![bare]),
        with(run.steps.iter().map(elsewhere).collect()),
        with(run.steps[..1].to_vec()),
        with(run.steps.iter().map(without_numbers).collect()),
        with(many),
        evil_run(),
    ]
}

fn odd_comparisons() -> Vec<Comparison> {
    let comparison = sample::comparison();
    let rounds = comparison.rounds.clone();
    let mut none = comparison.clone();
    for row in &mut none.rows {
        row.ours_median = f64::NAN;
        row.pairs = vec![(f64::NAN, f64::INFINITY), (0.0, 0.0)];
        (row.ratio_median, row.ratio_low, row.ratio_high) = (Some(f64::NAN), Some(0.0), None);
    }
    vec![
        comparison.clone(),
        none,
        Comparison { rows: vec![], rounds: vec![], ..comparison.clone() },
        Comparison { rounds: rounds[..1].to_vec(), ..comparison },
        evil_comparison(),
    ]
}

fn without_numbers(step: &Step) -> Step {
    let mut step = step.clone();
    step.seconds = 0.0;
    step.load = f64::NAN;
    step.packets.loss = f64::NAN;
    step.packets.received_bps = f64::INFINITY;
    step.latency.p99_us = f64::NAN;
    step.latency.p50_us = f64::INFINITY;
    step.latency_curve = vec![(f64::NAN, 1.0), (0.5, f64::INFINITY), (1.0, 0.0)];
    step.key_frames.per_source_second = f64::NAN;
    if let Some(process) = &mut step.process {
        process.cpu_ns_per_packet = f64::INFINITY;
        process.rss_per_peer = -12.5;
        process.cores_busy = f64::NAN;
        process.cycles_per_packet = Some(f64::NAN);
    }
    for verdict in &mut step.verdicts {
        verdict.ratio = f64::INFINITY;
        verdict.ok = false;
    }
    for agreement in &mut step.agreement {
        (agreement.client, agreement.server) = (0, 7);
    }
    step
}

fn evil_run() -> Run {
    let mut run = sample::run();
    let evil = || format!("{EVIL}\u{1b}[2J {}", "x".repeat(200));
    run.version = evil();
    run.began_at = evil();
    run.command = evil();
    run.machine.cpu = evil();
    run.machine.kernel = evil();
    run.server.sfu = evil();
    run.server.version = evil();
    run.server.how = evil();
    run.scenario.name = evil();
    run.scenario.about = evil();
    run.findings =
        vec![Finding { kind: evil(), severity: Severity::Fault, text: evil(), load: None }];
    for step in &mut run.steps {
        step.packets.lost_server.insert(evil(), 7);
        step.viewing.join_errors = vec![evil()];
        step.agreement[0].what = evil();
        step.generator.limit = Some(evil());
        let last = step.verdicts.last_mut().unwrap();
        (last.what, last.value, last.limit, last.ok) = (evil(), evil(), evil(), false);
    }
    run
}

fn evil_comparison() -> Comparison {
    let mut comparison = sample::comparison();
    comparison.ours = EVIL.to_owned();
    comparison.theirs = "\u{7}".repeat(300);
    comparison.skipped = vec![EVIL.to_owned()];
    for row in &mut comparison.rows {
        row.what = EVIL.to_owned();
        row.unit = EVIL.to_owned();
    }
    for round in &mut comparison.rounds {
        round.run = evil_run();
        round.sfu = EVIL.to_owned();
    }
    comparison
}
