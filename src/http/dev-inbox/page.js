/** The dev inbox page: keeps the list live, follows the location's hash, and listens to the keyboard. */
import { showMail, showMissing } from './detail.js';
import { byId, element } from './dom.js';
import { focusRow, moveFocus, showList } from './list.js';

const main = byId('main');
const clear = byId('clear');
const filter = byId('filter');
const isNarrow = matchMedia('(max-width: 760px)');

/** `mails` is null until the list has come. */
const state = { mails: null, selected: null, isStale: false, isLoading: false };

/** Reads the list once at a time, however many events come, and once more after the last event. */
async function refresh() {
  state.isStale = true;
  if (state.isLoading) return;
  state.isLoading = true;
  while (state.isStale) {
    state.isStale = false;
    const answer = await fetch('inbox.json').catch(() => null);
    if (answer?.ok) show((await answer.json()).data);
  }
  state.isLoading = false;
}

function show(mails) {
  state.mails = mails;
  if (mails.length === 0) deselect();
  render();
  // When there is room for both and no link names a mail, the newest one is opened.
  if (mails.length > 0 && location.hash === '' && !isNarrow.matches) open(mails[0].id);
}

function render() {
  if (state.mails === null) return;
  showList(state.mails, filter.value, state.selected);
  main.dataset.view = state.mails.length === 0 && state.selected === null ? 'empty' : viewOfHash();
  clear.hidden = filter.hidden = state.mails.length === 0;
}

function viewOfHash() {
  return location.hash.length > 1 ? 'mail' : 'list';
}

/** Selects without adding a step to the history. */
function open(id) {
  history.replaceState(null, '', `#${id}`);
  follow();
}

function deselect() {
  history.replaceState(null, '', location.pathname);
  state.selected = null;
}

/** Shows the mail the hash names. */
async function follow() {
  const id = location.hash.slice(1) || null;
  const left = state.selected;
  if (id === left) return;
  state.selected = id;
  render();
  if (id === null) return focusRow(left);
  const answer = await fetch(`inbox/${encodeURIComponent(id)}.json`).catch(() => null);
  if (state.selected !== id) return; // another was chosen meanwhile
  if (answer?.ok) showMail(await answer.json());
  else showMissing(answer?.status === 404 ? 'This mail is no longer in the inbox.' : 'Postrider does not answer.');
  if (isNarrow.matches) byId('detail').focus();
}

function connect() {
  const live = byId('live');
  const tell = (name, text) => {
    live.dataset.state = name;
    live.textContent = text;
  };
  const stream = new EventSource('inbox/events');
  stream.addEventListener('open', () => {
    tell('live', 'Live');
    refresh(); // what came while nobody listened
  });
  stream.addEventListener('error', () => {
    tell('lost', 'Reconnecting…');
    // An answer that is not a stream ends it for good.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2_000);
  });
  stream.addEventListener('mail', refresh);
  stream.addEventListener('reset', refresh);
}

const keys = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  j: () => step(1),
  k: () => step(-1),
  Escape: back,
  '/': () => filter.focus(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter && event.key !== 'Escape' && event.key !== 'ArrowDown') return;
  // Arrows scroll whatever else is in focus.
  if (event.key.startsWith('Arrow') && event.target.closest('#detail, #empty')) return;
  const act = keys[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
}

function step(by) {
  const id = moveFocus(by, state.selected);
  if (id !== null && !isNarrow.matches) open(id);
}

/** Leaves the filter, or returns from a mail to its place in the list. */
function back() {
  filter.value = '';
  const left = state.selected;
  if (isNarrow.matches) deselect();
  render();
  focusRow(left);
}

/** The first press asks, the second does it. */
function onClear() {
  if (clear.dataset.isAsked === undefined) {
    clear.dataset.isAsked = '';
    clear.textContent = `Delete all ${state.mails.length}?`;
    return;
  }
  calm();
  fetch('inbox.json', { method: 'DELETE' }).then(refresh, () => {});
}

function calm() {
  delete clear.dataset.isAsked;
  clear.textContent = 'Clear';
}

function fillEmpty() {
  const command = [
    `curl ${new URL('../v1/emails', document.baseURI)} \\`,
    '  -H "Authorization: Bearer $POSTRIDER_API_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d '{"from": "Ada <ada@example.com>", "to": "grace@example.com", "subject": "Hello", "text": "It works."}'`,
  ].join('\n');
  byId('curl').append(element('code', {}, command));
  const copy = byId('copy');
  copy.hidden = navigator.clipboard === undefined;
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(command);
    copy.textContent = 'Copied';
  });
}

fillEmpty();
addEventListener('hashchange', follow);
addEventListener('keydown', onKey);
filter.addEventListener('input', render);
clear.addEventListener('click', onClear);
clear.addEventListener('blur', calm);
// On a row already open, Enter goes into the mail.
byId('list').addEventListener('click', (event) => {
  if (event.detail === 0 && event.target.closest('[aria-current]')) byId('detail').focus();
});
connect();
refresh();
follow();
