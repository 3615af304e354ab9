// Values as text. Everything ends up in textContent, so nothing here needs to escape.

export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? value.toLocaleString("en-GB") : "–";
}

export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return "–";
  if (seconds >= 0.1 && seconds < 1) return `${seconds.toFixed(1)} s`;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole >= 600 && whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
  const days = Math.floor(whole / 86400);
  return days < 3650 ? `${days} d ${Math.floor(whole / 3600) % 24} h` : "–";
}

export function ago(seconds) {
  if (seconds >= 60 && seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${duration(seconds)} ago`;
}

export function clock(epochSeconds) {
  const date = new Date(epochSeconds * 1000);
  return Number.isNaN(date.getTime()) ? "–" : date.toLocaleTimeString("en-GB");
}

export function plural(count, noun) {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}
