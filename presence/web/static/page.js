// The page: holds what the stream said last, and draws it.

import { drawAgents, drawGone } from "./agents.js";
import { byId, setText } from "./dom.js";
import { clock } from "./format.js";
import { drawDatabase, drawEvents, drawQueues, drawTiles } from "./panels.js";
import { listen } from "./stream.js";

const MOST_EVENTS = 100;
const view = { agents: new Map(), gone: new Map(), events: [], metrics: null, redis: null, connected: false };
let ahead = 0; // by how much the server's clock is ahead of this one, in seconds

const now = () => Date.now() / 1000 + ahead;

function take(message) {
  ahead = message.now - Date.now() / 1000;
  for (const agent of message.agents) view.agents.set(agent.id, agent);
  for (const id of message.left) view.agents.delete(id);
  for (const agent of message.gone) view.gone.set(agent.key, agent);
  for (const key of message.forgotten) view.gone.delete(key);
  if (message.events.length) view.events = [...message.events.reverse(), ...view.events].slice(0, MOST_EVENTS);
  if (message.metrics) view.metrics = message.metrics;
  if (message.redis) view.redis = message.redis;
}

function draw() {
  if (!view.metrics) return;
  drawTiles(view);
  drawAgents(view, now());
  drawGone(view, now());
  drawEvents(view);
  drawQueues(view);
  drawDatabase(view);
}

function drawLink() {
  const banner = byId("banner");
  const redisDown = view.redis !== null && !view.redis.up;
  let state = "live";
  let text = "live";
  let alarm = "";
  if (!view.connected && !view.metrics) {
    [state, text] = ["waiting", "connecting"];
  } else if (!view.connected) {
    [state, text] = ["lost", "dashboard lost"];
    alarm = `No connection to the dashboard's own server. What you see is from ${clock(view.heard)}. Trying again.`;
  } else if (redisDown) {
    [state, text] = ["lost", "Redis lost"];
    alarm = `Redis does not answer. What you see is from ${clock(view.redis.since)}. Trying again. (${view.redis.detail})`;
  }
  byId("link").dataset.state = state;
  setText(byId("link-text"), text);
  setText(banner, alarm);
  banner.hidden = alarm === "";
  document.body.classList.toggle("stale", alarm !== "");
  document.title = alarm ? "(!) argentbus" : view.metrics ? `(${view.metrics.present - view.metrics.services}) argentbus` : "argentbus";
}

listen("events", {
  onMessage(kind, message) {
    if (kind === "snapshot") {
      view.agents.clear();
      view.gone.clear();
      view.events = [];
      setText(byId("namespace"), `namespace ${message.namespace}`);
      setText(byId("server"), message.server);
    }
    if (kind !== "beat") take(message);
    view.connected = true;
    view.heard = now();
    drawLink();
    draw();
  },
  onLost() {
    view.connected = false;
    drawLink();
  },
});

// Ages go on while nothing happens; nothing is asked of the server for it. Where the stream or
// Redis is lost they stand still: nothing is known of that time.
setInterval(() => {
  if (view.connected && (view.redis === null || view.redis.up)) draw();
}, 1000);
