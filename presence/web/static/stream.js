// The stream of server-sent events. EventSource reconnects by itself while the server can be
// reached; where it gives up (an error status, say) this starts a new one.

const RETRY_MS = 3000;
// The server says something at least every 15 s. A connection that was cut without a word, as by a
// sleeping laptop, is noticed by its silence.
const SILENCE_MS = 40000;

export function listen(url, { onMessage, onLost }) {
  let source = null;
  let heard = Date.now();
  let retry = null;

  function lost() {
    onLost();
    if (source.readyState === EventSource.CLOSED && retry === null) retry = setTimeout(start, RETRY_MS);
  }

  function start() {
    retry = null;
    if (source) source.close();
    heard = Date.now();
    source = new EventSource(url);
    for (const kind of ["snapshot", "update", "beat"]) {
      source.addEventListener(kind, (event) => {
        heard = Date.now();
        onMessage(kind, JSON.parse(event.data));
      });
    }
    source.onerror = lost;
  }

  setInterval(() => {
    if (retry === null && Date.now() - heard > SILENCE_MS) {
      onLost();
      start();
    }
  }, 5000);
  start();
}
