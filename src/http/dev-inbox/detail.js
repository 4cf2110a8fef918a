/** One mail: who, what, attachments, and its HTML, text and headers as tabs. */
import { byId, element, formatBytes, linked, timeElement } from './dom.js';

const detail = byId('detail');
/** The tab chosen last, if the mail has it. */
let preferred = 'html';

export function showMail(mail) {
  const tabs = tabsOf(mail);
  const chosen = tabs.find(({ key }) => key === preferred) ?? tabs[0];
  detail.replaceChildren(
    element('a.back', { href: '#' }, '‹ All mail'),
    element('h2', { dir: 'auto' }, mail.subject || '(no subject)'),
    addressesOf(mail),
    ...(mail.attachments.length > 0 ? [filesOf(mail)] : []),
    tabBar(mail, tabs, chosen),
    ...tabs.map((tab) => panel(tab, tab === chosen)),
  );
}

export function showMissing(text) {
  detail.replaceChildren(element('a.back', { href: '#' }, '‹ All mail'), element('p.hint', {}, text));
}

function tabsOf(mail) {
  return [
    ...(mail.html === null ? [] : [{ key: 'html', name: 'HTML', make: () => frame(mail) }]),
    { key: 'text', name: 'Text', make: () => textOf(mail) },
    { key: 'headers', name: 'Headers', make: () => headersOf(mail) },
  ];
}

function addressesOf({ from, to, cc, reply_to, envelope, created_at }) {
  const written = [...to, ...cc].join('\n').toLowerCase();
  const hidden = envelope.to.filter((address) => !written.includes(address.toLowerCase()));
  const lines = [
    ['From', [from ?? envelope.from]],
    ['To', to],
    ['Cc', cc],
    ['Bcc', hidden],
    ['Reply to', reply_to],
  ].filter(([, mailboxes]) => mailboxes.length > 0);
  return element(
    'dl.who',
    {},
    ...lines.flatMap(([name, mailboxes]) => [
      element('dt', {}, name),
      element('dd', { dir: 'auto' }, mailboxes.join(', ')),
    ]),
    element('dt', {}, 'Captured'),
    element('dd', {}, new Date(created_at).toLocaleString(), ' · ', timeElement(created_at)),
  );
}

function filesOf({ id, attachments }) {
  const items = attachments.map(({ index, filename, content_type, size }) =>
    element(
      'li',
      {},
      element(
        'a.file',
        { href: `inbox/${id}/attachments/${index}`, download: '', title: content_type },
        element('bdi.name', {}, filename ?? `attachment-${index}`),
        element('span.quiet', {}, formatBytes(size)),
      ),
    ),
  );
  return element('ul.files', { 'aria-label': 'Attachments' }, ...items);
}

function tabBar({ id, size }, tabs, chosen) {
  const buttons = tabs.map((tab) => {
    const isChosen = tab === chosen;
    const button = element(
      'button',
      {
        ...{ type: 'button', role: 'tab', id: `tab-${tab.key}`, 'aria-controls': `panel-${tab.key}` },
        ...{ 'aria-selected': String(isChosen), tabindex: isChosen ? '0' : '-1' },
      },
      tab.name,
    );
    button.addEventListener('click', () => choose(tab));
    return button;
  });
  const bar = element('div.tablist', { role: 'tablist', 'aria-label': 'Parts of the mail' }, ...buttons);
  bar.addEventListener('keydown', (event) => turn(event, buttons));
  const raw = `inbox/${id}/raw`;
  return element(
    'div.tabs',
    {},
    bar,
    element('a.raw', { href: raw, target: '_blank', rel: 'noopener' }, 'Raw'),
    element('a.raw', { href: raw, download: `${id}.eml` }, `Save .eml (${formatBytes(size)})`),
  );
}

function turn(event, buttons) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const next = buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length);
  next.click();
  next.focus();
}

function choose({ key, make }) {
  preferred = key;
  for (const button of detail.querySelectorAll('[role=tab]')) {
    const isChosen = button.id === `tab-${key}`;
    button.setAttribute('aria-selected', String(isChosen));
    button.tabIndex = isChosen ? 0 : -1;
  }
  for (const other of detail.querySelectorAll('[role=tabpanel]')) {
    other.hidden = other.id !== `panel-${key}`;
    if (!other.hidden && other.childElementCount === 0) other.append(make());
  }
}

/** The content of a panel is made when it is first opened. */
function panel({ key, make }, isChosen) {
  const attributes = { role: 'tabpanel', id: `panel-${key}`, 'aria-labelledby': `tab-${key}` };
  const made = element('div.panel', attributes, ...(isChosen ? [make()] : []));
  made.hidden = !isChosen;
  return made;
}

/** The answer has the same sandbox as a header, in case it is opened outside this frame. */
function frame({ id, html }) {
  const hasRemote = /(?:src|background)\s*=\s*["']?(?:https?:)?\/\/|url\(\s*["']?(?:https?:)?\/\//i.test(html);
  return element(
    'div.frame',
    {},
    ...(hasRemote ? [element('p.note', {}, 'Remote images and styles are not loaded here.')] : []),
    element('iframe', {
      ...{ src: `inbox/${id}/html`, title: 'The HTML of this mail', referrerpolicy: 'no-referrer' },
      sandbox: 'allow-popups allow-popups-to-escape-sandbox',
    }),
  );
}

function textOf({ text }) {
  if (text === null) return element('p.hint', {}, 'This mail has no text part.');
  return element('pre.text', { dir: 'auto' }, ...linked(text));
}

function headersOf({ headers, envelope, email_id }) {
  const rows = [
    ...[
      ['Postrider id', email_id],
      ['MAIL FROM', `<${envelope.from}>`],
      ['RCPT TO', envelope.to.map((address) => `<${address}>`).join(' ')],
    ].map(([name, value]) => ['tr.ours', name, value]),
    ...headers.map(({ name, value }) => ['tr', name, value]),
  ];
  const lines = rows.map(([tag, name, value]) =>
    element(tag, {}, element('th', { scope: 'row' }, name), element('td', { dir: 'auto' }, value)),
  );
  return element('table.headers', {}, element('tbody', {}, ...lines));
}
