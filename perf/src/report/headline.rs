//! What a run comes to, in sentences and in a few large figures.

use crate::measures::{Finding, Run, Severity, Step};
use crate::report::number::{bit_rate, count, load, ms, number, plural, short, si};

/// A large figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The number.
    pub value: String,
    /// Its unit.
    pub unit: String,
    /// What it is.
    pub what: String,
}

/// What the machine carries: the knee with its figures, or that there is none.
pub fn carries(run: &Run) -> String {
    match subject(run) {
        Some(step) => format!("{}: {}.", standing(run, step), figures_of(step)),
        None => "Nothing was measured.".to_owned(),
    }
}

/// The same without figures.
pub fn verdict(run: &Run) -> String {
    subject(run).map_or_else(|| carries(run), |step| standing(run, step))
}

/// Why it does not carry more, as far as the run has shown it; may be empty.
pub fn beyond(run: &Run) -> String {
    let Some(step) = first_above(run) else { return String::new() };
    let at = load(step.load);
    if let Some(limit) = &step.generator.limit {
        return format!(
            "At load {at} the generator was the limit, so the server may carry more: {limit}"
        );
    }
    let failed = step.verdicts.iter().filter(|verdict| !verdict.ok);
    let failed: Vec<String> = failed
        .map(|verdict| format!("{} is {}, limit {}", verdict.what, verdict.value, verdict.limit))
        .collect();
    match failed.is_empty() {
        true => String::new(),
        false => format!("At load {at}: {}.", failed.join("; ")),
    }
}

/// The server, the machine, and what was played.
pub fn setting(run: &Run) -> String {
    let Run { scenario, steps, .. } = run;
    let times = steps.len();
    format!(
        "{} on {}. Profile {}, {times} load{} of {} s. {}",
        server(run),
        machine(run),
        scenario.name,
        plural(times),
        short(scenario.seconds, 1),
        run.began_at,
    )
}

/// Name and version of the server.
pub fn server(run: &Run) -> String {
    format!("{} {}", run.server.sfu, run.server.version).trim_end().to_owned()
}

/// Processor, cores and who has which, memory, kernel.
pub fn machine(run: &Run) -> String {
    let machine = &run.machine;
    let on = |cores: &[usize]| {
        let list: Vec<_> = cores.iter().map(ToString::to_string).collect();
        if list.is_empty() { "any".to_owned() } else { list.join(",") }
    };
    let server = match run.steps.iter().all(|step| step.process.is_none()) {
        true => "server elsewhere".to_owned(),
        false => format!("server on {}", on(&machine.server_cores)),
    };
    format!(
        "{}, {} core{} ({server}; generator on {}), {} GiB, Linux {}{}",
        machine.cpu,
        machine.cores,
        plural(machine.cores),
        on(&machine.generator_cores),
        number(machine.memory_bytes as f64 / f64::from(1 << 30)),
        machine.kernel,
        if machine.virtual_machine { ", in a virtual machine" } else { "" },
    )
}

/// How many findings of which kind there are: `1 fault, 2 warnings`; empty if there are none.
pub fn tally(findings: &[Finding]) -> String {
    let kinds =
        [(Severity::Fault, "fault"), (Severity::Warning, "warning"), (Severity::Note, "note")];
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let some = kinds.map(|(severity, name)| (of(severity), name));
    let some = some.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, name)| format!("{count} {name}{}", plural(count)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Faults first; those of one severity as they were found.
pub fn by_severity(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    sorted
}

/// What the generator can do alone here; `None` where it was not checked.
pub fn self_check(run: &Run) -> Option<String> {
    let check = run.self_check.as_ref()?;
    let share = check.receive_pps / check.bare_receive_pps;
    Some(format!(
        "The generator alone, over loopback with {} peers and packets of {} bytes: one thread \
         receives {} packets/s ({} % of what a bare recvmmsg loop does) and sends {} packets/s.",
        count(check.peers as u64),
        count(check.packet_bytes as u64),
        si(check.receive_pps),
        number(share * 100.0),
        si(check.send_pps),
    ))
}

/// The knee's figures, or those of the lowest load where there is no knee.
pub fn large_figures(run: &Run) -> Vec<Figure> {
    let Some(step) = subject(run) else { return Vec::new() };
    let figure = |(value, unit): (&str, &str), what: &str| Figure {
        value: value.to_owned(),
        unit: unit.to_owned(),
        what: what.to_owned(),
    };
    let population = &step.population;
    let (rooms, peers) = (population.rooms, population.peers);
    let streams = format!(
        "streams; {} room{}, {} peer{}",
        count(rooms as u64),
        plural(rooms),
        count(peers as u64),
        plural(peers)
    );
    let rate = bit_rate(step.packets.received_bps);
    let mut figures = vec![
        figure((&count(population.streams as u64), ""), &streams),
        figure((&si(step.received_pps()), ""), "packets/s to viewers"),
        figure(rate.rsplit_once(' ').unwrap_or((&rate, "")), "to viewers"),
    ];
    if step.latency.count > 0 {
        let (p50, p99) = (ms(step.latency.p50_us), ms(step.latency.p99_us));
        figures.push(figure((&p50, "ms"), "added latency, median"));
        figures.push(figure((&p99, "ms"), "added latency, p99"));
    }
    if let Some(process) = &step.process {
        let cost = number(process.cpu_ns_per_packet);
        let (busy, cores) = (number(process.cores_busy), process.cores);
        let what = format!("CPU a packet; {busy} of {cores} core{} busy", plural(cores));
        figures.push(figure((&cost, "ns"), &what));
    }
    figures
}

/// The step that a run is summed up by: its knee, or else its lowest load.
pub fn subject(run: &Run) -> Option<&Step> {
    run.knee().or_else(|| run.steps.iter().min_by(|a, b| a.load.total_cmp(&b.load)))
}

/// The lowest load above the knee.
fn first_above(run: &Run) -> Option<&Step> {
    let knee = run.knee().map(|step| step.load);
    let above = |step: &&Step| knee.is_none_or(|knee| step.load > knee);
    // A load that was played twice may hold once: then the knee is at it, and so is what failed.
    let same = |step: &&Step| knee == Some(step.load) && !step.passes();
    let lowest = |steps: Vec<_>| steps.into_iter().min_by(|a: &&Step, b| a.load.total_cmp(&b.load));
    lowest(run.steps.iter().filter(same).collect())
        .or_else(|| lowest(run.steps.iter().filter(above).collect()))
}

fn standing(run: &Run, step: &Step) -> String {
    let at = load(step.load);
    match run.knee() {
        Some(_) if first_above(run).is_some() => format!("Carries load {at}"),
        Some(_) if run.steps.len() == 1 => format!("Carries load {at}, the only one played"),
        Some(_) => format!("Carries load {at}, the highest played"),
        None if step.verdicts.is_empty() => format!("Load {at}, held against no limits"),
        None => format!("Does not carry load {at}, the lowest played"),
    }
}

fn figures_of(step: &Step) -> String {
    let mut text = format!(
        "{} streams, {} packets/s, {}",
        count(step.population.streams as u64),
        si(step.received_pps()),
        bit_rate(step.packets.received_bps),
    );
    if let Some(process) = &step.process {
        text += &format!(", {} ns a packet", number(process.cpu_ns_per_packet));
    }
    if step.latency.count > 0 {
        let (p50, p99) = (ms(step.latency.p50_us), ms(step.latency.p99_us));
        text += &format!("; adds p50 {p50}, p99 {p99} ms");
    }
    text
}
