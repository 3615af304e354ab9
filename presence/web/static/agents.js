// The agents who are here, and those who went.

import { byId, element, reconcile, setText } from "./dom.js";
import { ago, clock, duration } from "./format.js";

const MOST_ROWS = 300;
// What a sidecar reports has a section of its own.
const COUNTED = ["backend", "memory_items", "tasks", "committed", "lag", "partitions", "error"];
const present = new Map();
const departed = new Map();

function cell(row, label) {
  const made = element("td");
  if (label) made.dataset.label = label;
  row.append(made);
  return made;
}

function part(parent, tag, className) {
  const made = element(tag, className);
  parent.append(made);
  return made;
}

function makeAgent() {
  const node = element("tr", "fresh");
  const who = cell(node);
  const row = { node, name: part(who, "span", "name"), role: part(who, "span", "minor") };
  const state = cell(node);
  row.status = part(state, "span", "status");
  row.activity = part(state, "span", "activity");
  row.more = part(state, "span", "minor");
  const process = cell(node, "Process");
  row.host = part(process, "span", "host");
  row.pid = part(process, "span", "minor");
  const since = cell(node, "Here for");
  row.age = part(since, "span");
  row.since = part(since, "span", "minor");
  const beat = cell(node, "Last heartbeat");
  row.beat = part(beat, "span", "beat-text");
  row.ttl = part(beat, "span", "minor");
  row.bar = part(part(beat, "span", "beat"), "i");
  return row;
}

function feeling(agent) {
  const parts = [];
  if (agent.mood) parts.push(`mood ${agent.mood}`);
  if (typeof agent.valence === "number") parts.push(`valence ${agent.valence.toFixed(1)}`);
  if (typeof agent.arousal === "number") parts.push(`arousal ${agent.arousal.toFixed(1)}`);
  if (agent.session) parts.push(`session ${agent.session}`);
  if (agent.progress) parts.push(`last progress ${agent.progress}`);
  for (const [name, value] of Object.entries(agent.fields)) {
    if (agent.role !== "sidecar" || !COUNTED.includes(name)) parts.push(`${name} ${value}`);
  }
  return parts.join(" · ");
}

// What it is: its role, which of several instances, what it can do.
function kind(agent) {
  const parts = [agent.role || "no role given"];
  if (agent.shared) parts.push(`#${agent.instance.slice(-6)}`);
  if (agent.capabilities && agent.capabilities.length) parts.push(agent.capabilities.join(", "));
  return parts.join(" · ");
}

function updateAgent(row, agent, now, age) {
  const stalled = typeof agent.stalled_since === "number";
  setText(row.name, agent.name);
  setText(row.role, kind(agent));
  setText(row.status, stalled ? `stalled for ${duration(now - agent.stalled_since)}, ${agent.status}` : agent.status);
  row.status.dataset.status = stalled ? "stalled" : agent.status;
  row.node.classList.toggle("stalled", stalled);
  setText(row.activity, agent.activity || "");
  setText(row.more, feeling(agent));
  setText(row.host, agent.host);
  setText(row.pid, `pid ${agent.pid}`);
  setText(row.age, duration(now - agent.since));
  setText(row.since, clock(agent.since));
  const known = typeof age === "number" && agent.ttl > 0;
  setText(row.beat, known ? ago(age) : "–");
  setText(row.ttl, `gone after ${duration(agent.ttl)}`);
  const left = known ? Math.min(1, Math.max(0, 1 - age / agent.ttl)) : 1;
  row.bar.style.transform = `scaleX(${left.toFixed(3)})`;
  row.node.classList.toggle("late", left < 0.5 && left > 0);
  row.node.classList.toggle("overdue", left <= 0);
}

function makeGone(agent) {
  const row = makeAgent();
  row.node.classList.toggle("expired", agent.how === "expired");
  row.node.children[3].dataset.label = "Was here for";
  row.node.children[4].dataset.label = "When";
  row.bar.parentElement.remove();
  return row;
}

function updateGone(row, agent, now, back) {
  setText(row.name, agent.name);
  setText(row.role, agent.role || "no role given");
  setText(row.status, agent.how);
  row.status.dataset.status = agent.how;
  setText(row.activity, agent.how === "expired" ? "its heartbeat stopped; what it held was given up" : agent.cause || "said goodbye");
  setText(row.more, (agent.activity ? `was ${agent.status}: ${agent.activity}` : `was ${agent.status}`)
    + (back ? ". Back now, as another instance" : ""));
  setText(row.host, agent.host);
  setText(row.pid, `pid ${agent.pid}`);
  setText(row.age, duration(agent.at - agent.since));
  setText(row.beat, ago(now - agent.at));
  setText(row.since, clock(agent.since));
  setText(row.ttl, clock(agent.at));
}

// Agents before services, then by name and instance: a row keeps its place.
function order(a, b) {
  const service = (agent) => (agent.role === "sidecar" ? 1 : 0);
  return service(a) - service(b) || (a.id < b.id ? -1 : 1);
}

export function drawAgents(view, now) {
  const all = [...view.agents.values()].sort(order);
  const shown = all.slice(0, MOST_ROWS);
  const beats = view.metrics.beats;
  const late = now - view.metrics.at;
  reconcile(byId("agents"), present, shown, (agent) => agent.id, makeAgent, (row, agent) => {
    const age = beats[agent.id];
    updateAgent(row, agent, now, typeof age === "number" ? age + Math.max(0, late) : undefined);
  });
  const hidden = Math.max(view.metrics.present, all.length) - shown.length;
  setText(byId("agents-more"), hidden > 0 ? `the first ${shown.length}; ${hidden.toLocaleString("en-GB")} more are not listed` : "");
  byId("agents-empty").hidden = all.some((agent) => agent.role !== "sidecar");
}

export function drawGone(view, now) {
  const all = [...view.gone.values()].sort((a, b) => b.at - a.at);
  reconcile(byId("gone"), departed, all, (agent) => agent.key, makeGone, (row, agent) => {
    updateGone(row, agent, now, view.agents.has(agent.id));
  });
  byId("gone-box").hidden = all.length === 0;
}
