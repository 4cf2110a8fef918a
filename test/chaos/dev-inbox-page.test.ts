/** The dev inbox page in a real Chromium: it lists, shows and updates, and the mail in it can do nothing. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, it, type TestContext } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url }));
});
afterAll(() => opened.disposeAsync());
beforeEach(async () => {
  await postrider.api('DELETE', '/dev/inbox.json');
});

async function send(email: object): Promise<void> {
  const plain = { from: 'a@example.com', to: 'b@example.org', subject: 'Hello', text: 'It works.' };
  const { body } = await postrider.api('POST', '/v1/emails', { ...plain, ...email });
  await until('the mail to be captured', async () => {
    const list = await postrider.api('GET', `/dev/inbox.json?email_id=${body.id}`);
    return list.body.data.length === 1;
  });
}

let browser: Browser | undefined;

type Opened = AsyncDisposable & { readonly page: Page; readonly requests: string[]; readonly trouble: string[] };

/** Opens the page and waits until it is live. `trouble` is what it logged or threw; what mail may not do is told there, too. */
async function openPage(test: TestContext, options: BrowserContextOptions = {}): Promise<Opened> {
  browser ??= opened.adopt(await openBrowser(test), (open) => open.close());
  const context = await browser.newContext({ viewport: { width: 1_200, height: 800 }, ...options });
  const page = await context.newPage();
  const requests: string[] = [];
  const trouble: string[] = [];
  context.on('requestfinished', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => trouble.push(error.message));
  page.on('console', (message) => trouble.push(message.text()));
  page.on('dialog', (dialog) => {
    trouble.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(`${postrider.url}/dev/inbox`);
  await page.getByRole('status').getByText('Live').waitFor();
  return { page, requests, trouble, [Symbol.asyncDispose]: () => context.close() };
}

const rows = (page: Page) => page.getByRole('navigation').getByRole('link');
const current = (page: Page) => page.locator('#list [aria-current]');
const heading = (page: Page) => page.getByRole('article').getByRole('heading');

it('shows how to send a first mail, then each mail as it comes, without a reload', async (context) => {
  await using world = await openPage(context);
  const { page, trouble } = world;
  await page.getByRole('heading', { name: 'No mail yet' }).waitFor();
  const curl = await page.locator('#curl').textContent();
  expect(curl).toContain(`curl ${postrider.url}/v1/emails`);
  expect(curl).toContain('Bearer $POSTRIDER_API_KEY');
  await page.evaluate(() => Object.assign(globalThis, { isSamePage: true }));

  await send({ subject: 'Grüße 👋' });
  await heading(page).getByText('Grüße 👋').waitFor();
  await rows(page).first().focus();
  await send({ subject: 'Second', to: ['Grace Hopper <grace@example.org>', 'x@example.org'] });
  await rows(page).nth(1).waitFor();
  expect(await rows(page).allInnerTexts()).toEqual([
    expect.stringMatching(/Second\s+now\s+To Grace Hopper \+1/),
    expect.stringMatching(/Grüße 👋\s+now\s+To b@example.org/),
  ]);
  // What is being read and where the keyboard stands stay in place; the new mail is counted as unread.
  expect(await page.evaluate('document.activeElement.matches("a.row")')).toBe(true);
  expect(await heading(page).textContent()).toBe('Grüße 👋');
  expect(await page.title()).toBe('(1) Inbox · Postrider');

  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByRole('button', { name: 'Delete all 2?' }).click();
  await page.getByRole('heading', { name: 'No mail yet' }).waitFor();

  await send({});
  await rows(page).first().waitFor();
  await postrider.api('DELETE', '/dev/inbox.json');
  await page.getByRole('heading', { name: 'No mail yet' }).waitFor();
  expect(await page.evaluate(() => 'isSamePage' in globalThis)).toBe(true);
  expect(trouble).toEqual([]);
});

it('shows HTML with its own images, text, headers, and attachments with the right bytes', async (context) => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"></svg>';
  const bytes = Buffer.from([0, 1, 2, 255, 13, 10, 0]);
  await send({
    to: 'Grace <grace@example.org>',
    bcc: 'hidden@example.org',
    html: '<!doctype html><p>Hallo <b>Wörld</b></p><img id="logo" src="cid:logo@x">',
    text: 'See https://example.com/a?b=c. <b>not bold</b>',
    headers: { 'X-Season': 'Früh ling' },
    attachments: [
      { filename: 'logo.svg', content: btoa(svg), content_type: 'image/svg+xml', content_id: 'logo@x' },
      { filename: 'Übersicht – 2026.bin', content: bytes.toString('base64') },
    ],
  });
  await using world = await openPage(context);
  const { page, trouble } = world;
  const frame = page.frameLocator('iframe');
  await frame.getByText('Hallo Wörld').waitFor();
  const logo = frame.locator('#logo');
  await until('the image', async () => (await logo.boundingBox())?.width === 30);
  await page.getByText('hidden@example.org').waitFor();

  await page.getByRole('tab', { name: 'Text' }).click();
  const text = page.getByRole('tabpanel', { name: 'Text' });
  expect(await text.textContent()).toBe('See https://example.com/a?b=c. <b>not bold</b>');
  const link = text.getByRole('link');
  expect([await link.getAttribute('href'), await link.getAttribute('rel')]).toEqual([
    'https://example.com/a?b=c',
    'noopener noreferrer',
  ]);
  await page.getByRole('tab', { name: 'Text' }).press('ArrowRight');
  await page.getByRole('row', { name: 'X-Season Früh ling' }).waitFor();

  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Übersicht – 2026.bin 7 B' }).click();
  const download = await downloading;
  expect(download.suggestedFilename()).toBe('Übersicht – 2026.bin');
  expect(await readFile(await download.path())).toEqual(bytes);
  expect(trouble).toEqual([]);
});

it('hostile mail runs nothing, asks the network for nothing and stays in its frame', async (context) => {
  let contacts = 0;
  const tracker = createServer((_request, response) => response.end()).on('connection', () => {
    contacts += 1;
  });
  await new Promise<void>((listening) => tracker.listen(0, '127.0.0.1', listening));
  opened.defer(() => void tracker.close());
  const remote = `http://127.0.0.1:${(tracker.address() as AddressInfo).port}`;
  const attack = "top.isOwned=1;parent.isOwned=1;alert('owned')";
  const markup = `"><img src=x onerror="${attack}"><script>${attack}</script>`;
  const html = `
    <base href="${remote}/"><meta http-equiv="refresh" content="0;url=${remote}/meta"><LINK/rel=preconnect href="${remote}">
    <link rel="stylesheet" href="${remote}/css"><link rel="dns-prefetch" href="${remote}"><link rel="prefetch" href="${remote}/pre">
    <style>@import url("${remote}/import"); body { background: url("${remote}/css-image") }</style>
    <script>${attack}</script><script src="${remote}/js"></script><img src="x" onerror="${attack}"><img src="${remote}/pixel">
    <svg onload="${attack}"><image href="${remote}/svg" /></svg><iframe src="${remote}/frame"></iframe><object data="${remote}/o"></object><embed src="${remote}/embed">
    <video autoplay src="${remote}/video"></video><form action="${remote}/form"><button id="form">form</button></form>
    <a id="script" href="javascript:${attack}">a</a><a id="top" target="_top" href="${remote}/top">a</a><p id="end">end</p>`;
  const attachments = [{ filename: `${markup.slice(0, 100)}.html`, content: btoa(html), content_type: 'text/html' }];
  await send({
    subject: markup,
    html,
    text: markup,
    headers: { 'X-Evil': markup },
    attachments,
    from: { email: 'a@example.com', name: markup },
  });

  await using world = await openPage(context);
  const { page, requests, trouble } = world;
  const frame = page.frameLocator('iframe');
  expect(await heading(page).textContent()).toBe(markup);
  for (const id of ['form', 'script', 'top']) await frame.locator(`#${id}`).click();
  for (const name of ['Text', 'Headers', 'HTML']) await page.getByRole('tab', { name }).click();
  await frame.locator('#end').waitFor();
  expect(await page.locator('iframe').getAttribute('sandbox')).toBe('allow-popups allow-popups-to-escape-sandbox');
  expect(await frame.locator('#end').evaluate('self.origin')).toBe('null');

  // And on its own, where only the headers of the answer protect.
  const alone = await page.context().newPage();
  alone.on('dialog', (dialog) => void trouble.push(`dialog: ${dialog.message()}`));
  const src = await page.locator('iframe').getAttribute('src');
  await alone.goto(`${postrider.url}/dev/${src}`);
  await alone.locator('#form').click();
  expect(await alone.evaluate('[self.origin, "isOwned" in self]')).toEqual(['null', false]);
  expect(alone.url()).toBe(`${postrider.url}/dev/${src}`);

  expect(await page.evaluate(() => 'isOwned' in globalThis)).toBe(false);
  expect(trouble.filter((line) => line.startsWith('dialog'))).toEqual([]);
  expect(requests.filter((url) => !url.startsWith(postrider.url) && !url.startsWith('data:'))).toEqual([]);
  expect(contacts).toBe(0);
});

it('is used by keyboard alone, and links to one mail', async (context) => {
  for (const subject of ['First', 'Second', 'Third']) await send({ subject });
  await using world = await openPage(context);
  const { page, trouble } = world;
  const press = async (key: string, subject: string) => {
    await page.keyboard.press(key);
    await heading(page).getByText(subject, { exact: true }).waitFor();
    expect(await current(page).textContent()).toContain(subject);
  };
  await heading(page).getByText('Third').waitFor();
  await press('j', 'Second');
  await press('ArrowDown', 'First');
  await press('ArrowDown', 'First');
  await press('k', 'Second');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.id')).toBe('detail');
  await page.keyboard.press('/');
  await page.keyboard.type('fir');
  await until('the filter to work', async () => (await rows(page).count()) === 1);
  await page.keyboard.press('Escape');
  await until('the filter to be lifted', async () => (await rows(page).count()) === 3);
  await page.reload();
  await heading(page).getByText('Second').waitFor();
  expect(trouble).toEqual([]);
});

it('shows the list, then one mail, at a width of 400 pixels', async (context) => {
  for (const subject of ['First', `Second ${'long '.repeat(40)}`]) await send({ subject, html: '<p>html</p>' });
  await using world = await openPage(context, { viewport: { width: 400, height: 700 } });
  const { page } = world;
  const overflow = () => page.evaluate('document.documentElement.scrollWidth - innerWidth');
  await rows(page).nth(1).waitFor();
  expect([await heading(page).count(), await overflow()]).toEqual([0, 0]);
  await rows(page).first().click();
  await heading(page).waitFor();
  expect([await rows(page).first().isVisible(), await overflow()]).toEqual([false, 0]);
  await page.getByRole('link', { name: 'All mail' }).click();
  await until('focus to be back in the list', () =>
    page.evaluate<boolean>('document.activeElement.textContent.startsWith("Second")'),
  );
  await page.keyboard.press('ArrowDown');
  expect(await rows(page).first().isVisible()).toBe(true);
  await page.keyboard.press('Enter');
  await heading(page).getByText('First').waitFor();
  await page.keyboard.press('Escape');
  await rows(page).first().waitFor();
});
