/** The list of captured mail: rows kept in step with the data, what has been seen, and moving by keyboard. */
import { byId, element, nameOf, refreshTime, timeElement } from './dom.js';

const seenKey = 'postrider-inbox-seen';
const refreshTimesMs = 20_000;

const list = byId('list');
/** @type {Map<string, HTMLLIElement>} */
const rows = new Map();
let seen = new Set(readSeen());

setInterval(() => {
  for (const time of document.querySelectorAll('time')) refreshTime(time);
}, refreshTimesMs);

/** Adds and removes rows. The others are not touched, so that focus and scrolling stay. */
export function showList(mails, filter, selected) {
  const shown = mails.filter((mail) => matches(mail, filter.trim().toLowerCase()));
  const present = new Set(shown.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (present.has(id)) continue;
    row.remove();
    rows.delete(id);
  }
  shown.forEach((mail, place) => {
    const row = rows.get(mail.id) ?? makeRow(mail);
    rows.set(mail.id, row);
    if (list.children[place] !== row) list.insertBefore(row, list.children[place] ?? null);
  });
  byId('none').hidden = shown.length > 0 || mails.length === 0;
  mark(mails, selected);
}

function matches({ subject, from, to, envelope }, filter) {
  return [subject ?? '', from ?? '', ...to, ...envelope.to].some((text) => text.toLowerCase().includes(filter));
}

function makeRow({ id, subject, to, envelope, attachments, created_at }) {
  const recipients = to.length > 0 ? to : envelope.to;
  const more = recipients.length > 1 ? ` +${recipients.length - 1}` : '';
  const files = attachments.length;
  return element(
    'li',
    {},
    element(
      'a.row',
      { href: `#${id}` },
      element('span.subject', { dir: 'auto' }, subject || '(no subject)'),
      timeElement(created_at),
      element('span.to', { dir: 'auto' }, `To ${nameOf(recipients[0] ?? '')}${more}`),
      ...(files > 0 ? [element('span.clip', {}, files === 1 ? '1 file' : `${files} files`)] : []),
    ),
  );
}

/** Marks the selected row and the unread ones. The title of the window shows the number of unread ones. */
function mark(mails, selected) {
  if (selected !== null) remember(mails, selected);
  for (const [id, row] of rows) {
    const link = row.firstElementChild;
    if (id === selected) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
    row.classList.toggle('unread', !seen.has(id));
  }
  const unread = mails.filter(({ id }) => !seen.has(id)).length;
  document.title = `${unread > 0 ? `(${unread}) ` : ''}Inbox · Postrider`;
}

function remember(mails, selected) {
  if (seen.has(selected)) return;
  seen = new Set([selected, ...mails.map(({ id }) => id).filter((id) => seen.has(id))]);
  try {
    localStorage.setItem(seenKey, JSON.stringify([...seen]));
  } catch {} // storage may be full or forbidden: dots come back on the next visit
}

function readSeen() {
  try {
    return JSON.parse(localStorage.getItem(seenKey) ?? '[]');
  } catch {
    return [];
  }
}

/** Focuses the row `step` away from the one in focus, or from the selected one. @returns its id, or null at the end */
export function moveFocus(step, selected) {
  const ids = [...list.children].map((row) => row.firstElementChild.hash.slice(1));
  const from = ids.indexOf(document.activeElement?.closest('#list a')?.hash.slice(1) ?? selected);
  const id = ids[from < 0 ? 0 : from + step];
  if (id === undefined) return null;
  focusRow(id);
  return id;
}

export function focusRow(id) {
  rows.get(id)?.firstElementChild.focus();
}
