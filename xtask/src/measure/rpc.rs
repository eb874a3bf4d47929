//! What a warm Encrypt costs over gRPC: against an echo of the same messages on the same listener, limits and event loops.
//!
//! Both servers and the load run in this process and take turns; the load's frames are encoded before, so that what is
//! compared is the servers. CPU is read from the servers' own threads.

mod cpu_time;
mod load;
mod servers;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use super::report::{Report, Target};
use super::rounds::{Contestant, interleave};
use load::Load;
use servers::{Kind, RunningServer};

/// How much is in flight, over how many connections, as the targets say.
const IN_FLIGHT: usize = 64;
const CONNECTIONS: usize = 4;
/// How long a turn lasts, and how many there are for each of a longer kind: what disturbs a turn should meet its neighbour too, and
/// be left out by the median.
const TURN: Duration = Duration::from_millis(200);
const TURNS: usize = 4;

/// Encrypt ÷ echo at 1 KiB.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let runtime = Rc::new(tokio::runtime::Builder::new_current_thread().enable_all().build()?);
    let directory = tempfile::tempdir()?;
    let encrypt = runtime.block_on(RunningServer::start(Kind::Encrypt, directory.path()))?;
    let echo = runtime.block_on(RunningServer::start(Kind::Echo, directory.path()))?;
    for (size, name) in [(1024, "1 KiB"), (32 * 1024, "32 KiB")] {
        let mut contestants = Vec::new();
        let mut cpu = Vec::new();
        for (name, server) in [("encrypt", &encrypt), ("echo", &echo)] {
            let mut load =
                runtime.block_on(Load::connect(server.socket(), CONNECTIONS, IN_FLIGHT, &server.request(size)))?;
            runtime.block_on(load.run(TURN))?; // the key is made and everything is warm
            let spent = Rc::new(std::cell::RefCell::new(Vec::new()));
            cpu.push(spent.clone());
            let runtime = runtime.clone();
            contestants.push(Contestant::measured(name, move || {
                let before = server.cpu_time()?;
                let (calls, seconds) = runtime.block_on(load.run(TURN))?;
                spent.borrow_mut().push((server.cpu_time()? - before).as_secs_f64() * 1e6 / calls as f64);
                Ok(seconds / calls as f64)
            }));
        }
        let times = interleave(TURNS * effort.long_rounds, &mut contestants)?;
        drop(contestants);
        let ratio = times.throughput_ratio("encrypt", "echo");
        let target = if size == 1024 { Target::AtLeast { gate: 0.90, stretch: 0.95 } } else { Target::None };
        report.add(
            format!("Encrypt RPC ÷ echo on the same runtime, {name}, {IN_FLIGHT} in flight"),
            ratio,
            "×",
            target,
        );
        report.add(
            format!("Encrypt RPC, {name}, with the load on the same two cores"),
            1e9 / times.nanoseconds("encrypt"),
            "/s",
            Target::None,
        );
        let [encrypt, echo] = [&cpu[0], &cpu[1]].map(|spent| median(&spent.borrow()));
        report.add(format!("server CPU per Encrypt, {name}"), encrypt, "µs", Target::None);
        report.add(format!("server CPU per echo, {name}"), echo, "µs", Target::None);
        // Others' work on the machine takes turns away from both, but is in nobody's CPU time.
        report.add(format!("the same ratio by the servers' CPU, {name}"), echo / encrypt, "×", Target::None);
    }
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
