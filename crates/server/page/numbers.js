// Numbers as people read them.

const plain = new Intl.NumberFormat("en");

/** 12345 -> "12,345". */
export const count = (number) => (Number.isFinite(number) ? plain.format(number) : "unknown");

/** "1 passage", "2 passages". */
export const counted = (number, noun, nouns = `${noun}s`) => `${count(number)} ${number === 1 ? noun : nouns}`;

/** Bytes with a unit: "3.4 MB". */
export function bytes(number) {
  if (!Number.isFinite(number)) return "unknown";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${unit ? number.toPrecision(3) : plain.format(number)} ${units[unit]}`;
}

/** Microseconds with a unit: "240 µs", "1.94 ms". */
export function time(us) {
  if (!Number.isFinite(us)) return "unknown";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toPrecision(3)} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

/** 0.1234 -> "12.3 %". */
export const percent = (share) => `${(100 * share).toFixed(1)} %`;
