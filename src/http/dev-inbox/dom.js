/** Elements from plain values, and values in the words people read. Text is only ever set as text. */

/**
 * @param {string} tag a tag, with classes after dots: `p.meta.quiet`
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 */
export function element(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const made = document.createElement(name);
  if (classes.length > 0) made.className = classes.join(' ');
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });
const units = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** `2 min. ago`; the exact time is in the title. */
export function timeElement(iso) {
  const made = element('time', { datetime: iso, title: new Date(iso).toLocaleString() });
  refreshTime(made);
  return made;
}

export function refreshTime(made) {
  const seconds = Math.round((Date.parse(made.dateTime) - Date.now()) / 1_000);
  const [unit, size] = units.find(([, length]) => -seconds >= length) ?? [];
  made.textContent = unit === undefined ? 'now' : relative.format(Math.trunc(seconds / size), unit);
}

export function formatBytes(count) {
  if (count < 1_000) return `${count} B`;
  const [unit, size] = count < 1_000_000 ? ['kB', 1_000] : ['MB', 1_000_000];
  const amount = count / size;
  return `${amount.toFixed(amount < 10 ? 1 : 0)} ${unit}`;
}

/** `Ada Lovelace <ada@example.com>` -> its name, or else its address. */
export function nameOf(mailbox) {
  return /^"?(.*?)"?\s*<[^<>]*>$/.exec(mailbox)?.[1] || mailbox;
}

/** Text with its http(s) addresses as links. */
export function* linked(text) {
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]*[^\s<>".,;:!?')\]]/g)) {
    yield text.slice(end, match.index);
    yield element('a', { href: match[0], target: '_blank', rel: 'noopener noreferrer' }, match[0]);
    end = match.index + match[0].length;
  }
  yield text.slice(end);
}
