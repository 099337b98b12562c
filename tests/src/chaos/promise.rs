//! What must hold when everything has ended.

use std::collections::HashMap;

use serde_json::Value;

use super::adds::adds;
use super::ledger::Told;
use crate::Host;
use crate::patience::try_until;

/// A promise that was not kept, and how that showed.
#[derive(Clone, Debug)]
pub struct Broken(pub String);

/// What was seen of the executions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) executions: u64,
    /// How often one was run again after a crash.
    pub(crate) run_again: u64,
    /// Synchronous ones that a crash cut off before they changed anything.
    pub(crate) interrupted: u64,
    /// Those that the host died with too often.
    pub(crate) given_up: u64,
    /// Synchronous ones that were cut off by a host that ended in order.
    pub(crate) cancelled: u64,
}

fn promise(is_kept: bool, broken: impl FnOnce() -> String) -> Result<(), Broken> {
    if is_kept { Ok(()) } else { Err(Broken(broken())) }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The first executions that have not ended. In one list: one that goes from status to status is in it all the time.
pub(crate) const UNFINISHED: &str = "/api/latest/execution?plain&limit=3\
    &filter=%7B%22field%22:%22ended_at%22,%22op%22:%22is_null%22,%22value%22:true%7D";

/// Waits until everything has ended.
pub(crate) fn everything_ends(host: &Host) -> Result<(), Broken> {
    let mut left = Vec::new();
    let ended = try_until(|| {
        left = host.get(UNFINISHED).as_operator().send().ok().as_array().cloned().unwrap_or_default();
        left.is_empty().then_some(())
    });
    promise(ended.is_some(), || format!("everything ends, but these do not: {left:?}"))
}

/// Whether what clients were told is so, and whether everything was done once, now that everything has ended.
pub(crate) fn check(host: &Host, told: &Told) -> Result<Tally, Broken> {
    let shown = "id,status,failure,attempt,is_durable,flow,input_value,output_value,ended_at";
    let executions = host.all(&format!("execution?fields={shown}"));
    let by_id: HashMap<&str, &Value> = executions.iter().map(|one| (text(&one["id"]), one)).collect();
    promise(by_id.len() == executions.len(), || "a list has every execution once".into())?;
    let tally = ends(&executions)?;
    for id in &told.accepted {
        let ended = by_id.get(id.as_str());
        promise(ended.is_some_and(|one| one["status"] == "ENDED_SUCCESS" || is_given_up(one)), || {
            format!("what was accepted runs to its end, but {id} is {:?}", by_id.get(id.as_str()))
        })?;
    }
    for answered in &told.answered {
        let kept = by_id.get(text(&answered["id"])).copied().unwrap_or(&Value::Null);
        let is_so = ["status", "output_value", "ended_at"].iter().all(|member| kept[member] == answered[member]);
        promise(is_so, || format!("what was answered stays so, but {answered} is {kept}"))?;
    }
    for id in &told.unfinished {
        promise(by_id.contains_key(id.as_str()), || format!("an id that was answered resolves, but {id} does not"))?;
    }
    let settings = host.all("setting?fields=name,value");
    let settings: HashMap<&str, &Value> = settings.iter().map(|one| (text(&one["name"]), &one["value"])).collect();
    counters(&executions, &settings)?;
    steps(&executions, &settings)?;
    Ok(tally)
}

/// Whether the host died so often while the execution ran that it is not run again.
fn is_given_up(execution: &Value) -> bool {
    execution["failure"]["code"] == "execution.host-died" && execution["attempt"].as_u64() >= Some(3)
}

/// Whether each execution ended in a way that something explains.
fn ends(executions: &[Value]) -> Result<Tally, Broken> {
    let mut tally = Tally { executions: executions.len() as u64, ..Tally::default() };
    for execution in executions {
        tally.run_again += execution["attempt"].as_u64().unwrap_or(1) - 1;
        let is_durable = execution["is_durable"] == true;
        match (text(&execution["status"]), text(&execution["failure"]["code"])) {
            ("ENDED_SUCCESS", _) => {}
            ("ENDED_ERROR", "execution.interrupted") if !is_durable => tally.interrupted += 1,
            ("ENDED_CANCELLED", _) if !is_durable => tally.cancelled += 1,
            _ if is_given_up(execution) => tally.given_up += 1,
            _ => return Err(Broken(format!("what is durable ends well, but there is {execution}"))),
        }
    }
    Ok(tally)
}

/// Whether each counter is what the executions that ended well have added.
fn counters(executions: &[Value], settings: &HashMap<&str, &Value>) -> Result<(), Broken> {
    let mut sums: HashMap<String, i64> = HashMap::new();
    for execution in executions.iter().filter(|one| one["status"] == "ENDED_SUCCESS") {
        let input = &execution["input_value"];
        // A webhook's call has its payload in an object of the request; a child is given its payload itself.
        let payload = input.get("json").unwrap_or(input);
        for (name, by) in adds(text(&execution["flow"]["name"]), payload) {
            *sums.entry(name).or_default() += by;
        }
    }
    // How far those got that were given up, is not known.
    for execution in executions.iter().filter(|one| is_given_up(one)) {
        let input = &execution["input_value"];
        for (name, _) in adds(text(&execution["flow"]["name"]), input.get("json").unwrap_or(input)) {
            sums.remove(&name);
        }
    }
    for (name, sum) in sums {
        let value = settings.get(name.as_str()).and_then(|value| value.as_i64()).unwrap_or(0);
        promise(value == sum, || {
            format!("each execution adds once: `{name}` is {value}, but those that ended well added {sum}")
        })?;
    }
    Ok(())
}

/// Whether no step of a flow that was run again was done twice, and each was done.
fn steps(executions: &[Value], settings: &HashMap<&str, &Value>) -> Result<(), Broken> {
    let mut expected = 0;
    for execution in executions.iter().filter(|one| one["flow"]["name"] == "replayed") {
        for step in execution["output_value"]["steps"].as_array().into_iter().flatten() {
            let name = format!("replayed.{}.{}", text(&execution["id"]), text(step));
            let value = settings.get(name.as_str());
            promise(value.is_some_and(|value| **value == 1), || {
                format!("a step is done once, but `{name}` is {value:?}")
            })?;
            expected += 1;
        }
    }
    // An id has dashes, the other settings of this guest have not.
    let is_step = |name: &&str| name.starts_with("replayed.") && name.matches('.').count() > 1;
    let count = settings.keys().copied().filter(|name| is_step(name)).count();
    promise(count == expected, || format!("a flow is run again the same way: {expected} steps, but {count} were made"))
}
