// Events, database counts, queues, write log, and the tiles that sum them up.

import { byId, element, reconcile, setText } from "./dom.js";
import { clock, number, plural } from "./format.js";

const TONES = {
  joined: "good", expired: "bad", alert: "bad", left: "plain", changed: "plain",
  memory_stored: "good", task_update: "busy", agent_status: "plain", mood_change: "plain",
  stalled: "warn", resumed: "good", redis_lost: "bad", redis_back: "good",
};
const rows = { events: new Map(), queues: new Map(), logs: new Map() };

function makeEvent(event) {
  const node = element("li", "fresh");
  node.dataset.tone = TONES[event.kind] || "plain";
  const when = element("time", "", clock(event.at));
  const said = element("span", "said");
  said.append(element("span", "agent", event.agent), element("span", "", event.detail));
  node.append(when, element("span", "kind", event.kind.replaceAll("_", " ")), said);
  return { node };
}

export function drawEvents(view) {
  reconcile(byId("events"), rows.events, view.events, (event) => event.id, makeEvent, () => {});
  byId("events-empty").hidden = view.events.length > 0;
}

function figure(row, text, zero, alarm) {
  setText(row, text);
  row.className = alarm ? "alarm" : zero ? "zero" : "";
}

function makeFigures(count) {
  return () => {
    const node = element("tr");
    const name = element("td");
    const label = element("span", "name");
    const note = element("span", "minor");
    name.append(label, note);
    node.append(name);
    const cells = Array.from({ length: count }, () => element("td"));
    node.append(...cells);
    return { node, label, note, cells };
  };
}

export function drawQueues(view) {
  const { queues, logs, queues_total: total } = view.metrics;
  reconcile(byId("queues"), rows.queues, queues, (queue) => queue.name, makeFigures(4), (row, queue) => {
    setText(row.label, queue.name);
    const readers = queue.groups === 0 ? "nobody reads it" : plural(queue.consumers, "consumer");
    setText(row.note, queue.error ? "cannot be read: not a queue of the bus" : readers);
    figure(row.cells[0], number(queue.unread), queue.unread === 0, false);
    figure(row.cells[1], number(queue.pending), queue.pending === 0, false);
    figure(row.cells[2], number(queue.delayed), queue.delayed === 0, false);
    figure(row.cells[3], number(queue.dead), queue.dead === 0, queue.dead > 0);
  });
  setText(byId("queues-title"), total > queues.length ? `Queues (the first ${queues.length} of ${number(total)})` : "Queues");
  byId("queues-empty").hidden = queues.length > 0;
  reconcile(byId("logs"), rows.logs, logs, (log) => log.name, makeFigures(1), (row, log) => {
    setText(row.label, log.name);
    figure(row.cells[0], number(log.length), log.length === 0, false);
  });
  byId("logs-box").hidden = logs.length === 0;
}

function pair(list, name, value) {
  if (value === null || value === undefined || value === "") return;
  list.append(element("dt", "", name), element("dd", "", typeof value === "number" ? number(value) : value));
}

export function drawDatabase(view) {
  const box = byId("database");
  const made = view.metrics.databases.map((store) => {
    const node = element("div", "store");
    const title = element("h3", "", store.backend);
    title.append(element("span", "minor", store.sidecars.join(", ")));
    const list = element("dl");
    pair(list, "memory items", store.memory_items);
    pair(list, "tasks", store.tasks);
    pair(list, "committed since the sidecar started", store.committed);
    pair(list, "waiting to be committed", store.lag);
    pair(list, "partitions held", store.partitions);
    node.append(title, list);
    if (store.error) node.append(element("p", "fault", `The database does not answer: ${store.error}`));
    if (store.gone) node.append(element("p", "old", `No sidecar is here: counts as of ${clock(store.at)}.`));
    return node;
  });
  box.replaceChildren(...made);
  byId("database-empty").hidden = made.length > 0;
}

const sum = (items, pick) => items.reduce((total, item) => total + (pick(item) || 0), 0);

export function drawTiles(view) {
  const { metrics } = view;
  const expired = [...view.gone.values()].filter((agent) => agent.how === "expired").length;
  const counted = (pick) => {
    const known = metrics.databases.filter((store) => typeof pick(store) === "number");
    return known.length ? number(Math.max(...known.map(pick))) : "–";
  };
  setText(byId("tile-present"), number(metrics.present - metrics.services));
  setText(byId("tile-working"), number(metrics.working));
  setText(byId("tile-stalled"), metrics.stalled > 0 ? `${number(metrics.stalled)} stalled` : "");
  setText(byId("tile-expired"), number(expired));
  byId("tile-expired-box").classList.toggle("alarm", expired > 0);
  setText(byId("tile-waiting"), number(sum(metrics.queues, (queue) => queue.unread + queue.pending)));
  const dead = sum(metrics.queues, (queue) => queue.dead);
  setText(byId("tile-dead"), number(dead));
  byId("tile-dead-box").classList.toggle("alarm", dead > 0);
  setText(byId("tile-memories"), counted((store) => store.memory_items));
  setText(byId("tile-tasks"), counted((store) => store.tasks));
}
