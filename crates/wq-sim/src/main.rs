//! Runs seeds: `cargo run --profile figures -p wq-sim -- --seeds 1000`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use wq_sim::{Fault, Faults, Options, simulate};

const USAGE: &str = "wq-sim [--seeds N] [--from S] [--faults LIST] [--steps N] [--hours H] [--verbose]
  --seeds N      so many histories (1000)
  --from S       the first seed (1)
  --faults LIST  all, none, or names: cut,crash or all,-lies (all)
  --steps N      events of the phase with faults (1500)
  --hours H      seed after seed for so long
  --verbose      print everything that happens";

struct Wish {
    seeds: u64,
    from: u64,
    time: Option<Duration>,
    options: Options,
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut wish = Wish { seeds: 1000, from: 1, time: None, options: Options::default() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{word} needs a number, not {text}"));
        match word.as_str() {
            "--seeds" => wish.seeds = number(value()?)?,
            "--from" => wish.from = number(value()?)?,
            "--steps" => wish.options.steps = number(value()?)?,
            "--faults" => wish.options.faults = Faults::parse(&value()?)?,
            "--hours" => {
                let text = value()?;
                let hours: f64 = text.parse().map_err(|_| format!("--hours needs a number, not {text}"))?;
                wish.time = Some(Duration::try_from_secs_f64(hours * 3600.0).map_err(|error| error.to_string())?);
            }
            "--verbose" => wish.options.verbose = true,
            _ => return Err(format!("unknown option {word}")),
        }
    }
    Ok(wish)
}

/// The command that lets one history happen again.
fn command(seed: u64, options: &Options) -> String {
    let Options { faults, steps, .. } = options;
    format!(
        "cargo run --profile figures -p wq-sim -- --seeds 1 --from {seed} --faults {faults} --steps {steps} --verbose"
    )
}

fn main() -> ExitCode {
    let wish = match read(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(error) => {
            eprintln!("wq-sim: {error}\n{USAGE}\nFaults:");
            for fault in Fault::ALL {
                eprintln!("  {:<14} {}", fault.name(), fault.about());
            }
            return ExitCode::from(2);
        }
    };
    let begin = Instant::now();
    let (mut steps, mut jobs, mut starts, mut runs, mut done) = (0, 0, 0, 0, 0);
    let mut seed = wish.from;
    loop {
        let more = match wish.time {
            Some(time) => begin.elapsed() < time,
            None => done < wish.seeds,
        };
        if !more {
            break;
        }
        // A broken invariant is a panic; whoever reads it must know the seed.
        let repeat = command(seed, &wish.options);
        std::panic::set_hook(Box::new(move |panic| eprintln!("seed {seed}: {panic}\nrepeat with: {repeat}")));
        let outcome = simulate(seed, wish.options);
        (steps, jobs, starts, runs) =
            (steps + outcome.steps, jobs + outcome.jobs, starts + outcome.starts, runs + outcome.runs);
        if let Some(violation) = outcome.violation {
            println!("seed {seed}: {violation}\nrepeat with: {}", command(seed, &wish.options));
            return ExitCode::FAILURE;
        }
        (seed, done) = (seed + 1, done + 1);
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{done} seeds without a violation: {steps} events, {jobs} jobs, {starts} starts, {runs} runs of the master; \
         {seconds:.1} s, {:.0} seeds a minute",
        done as f64 * 60.0 / seconds
    );
    ExitCode::SUCCESS
}
