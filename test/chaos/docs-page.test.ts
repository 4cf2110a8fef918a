/** /docs in a real Chromium: it lists every operation, and sends an email by "Try it out"; nothing leaves the origin. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it, type TestContext } from 'vitest';
import { parse } from 'yaml';
import { openBrowser } from '../support/browser.ts';
import { readDocument } from '../support/documents.ts';
import { readOpenApi } from '../support/openapi.ts';
import { operationsOf } from '../support/openapi-rules.ts';
import { apiClient, type Postrider, startPostrider, testApiKey } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  postrider = opened.use(
    await startPostrider({
      REDIS_URL: redis.url,
      NODE_ENV: 'production',
      ROLES: 'api',
      SMTP_URL: 'smtp://127.0.0.1:9?tls=none',
    }),
  );
});
afterAll(() => opened.disposeAsync());

type Docs = { readonly page: Page; readonly requests: string[]; readonly trouble: string[] };

let docs: Docs | undefined;

/** The page, opened once for all. `trouble` is what it logged or threw; a breach of its policy is logged. */
async function openDocs(test: TestContext): Promise<Docs> {
  if (docs !== undefined) return docs;
  const browser = opened.adopt(await openBrowser(test), (open) => open.close());
  const context = await browser.newContext({ viewport: { width: 1_200, height: 900 } });
  const page = await context.newPage();
  const requests: string[] = [];
  const trouble: string[] = [];
  context.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => trouble.push(error.message));
  page.on('console', (message) => trouble.push(message.text()));
  await page.goto(`${postrider.url}/docs`);
  await page.locator('.opblock').first().waitFor();
  docs = { page, requests, trouble };
  return docs;
}

it('lists every operation of the document, and what webhooks get', async (context) => {
  const { page, trouble } = await openDocs(context);
  const shown = await page
    .locator('.opblock-summary')
    .evaluateAll((rows) =>
      rows.map((row) =>
        ['.opblock-summary-method', '.opblock-summary-path', '.opblock-summary-description']
          .map((part) => row.querySelector(part)?.textContent?.replaceAll('\u200b', ''))
          .join(' '),
      ),
    );
  const { paths, webhooks, ...document } = readOpenApi();
  const all = operationsOf({ ...document, paths: { ...paths, ...webhooks } });
  const wanted = all.map(({ name, operation }) => `${name} ${operation.summary}`);
  expect(shown.toSorted()).toEqual(wanted.toSorted());
  expect(await page.title()).toBe('Postrider API');
  expect(trouble).toEqual([]);
});

it('sends the example email by "Try it out" once it has a key, and contacts no other host', async (context) => {
  const { page, requests, trouble } = await openDocs(context);
  const send = page.locator('#operations-emails-sendEmail');
  await send.locator('.opblock-summary-control').click();
  const status = send.locator('.live-responses-table tbody .response-col_status');

  await send.getByRole('button', { name: 'Execute' }).click();
  await status.getByText('401').waitFor();
  // The browser itself logs every answer that is an error.
  expect(trouble.splice(0)).toEqual([expect.stringContaining('401')]);

  await page.locator('.auth-wrapper').getByRole('button', { name: 'Authorize' }).first().click();
  await page.getByRole('textbox', { name: 'auth-bearer-value' }).fill(testApiKey);
  await page.getByRole('button', { name: 'Apply credentials' }).click();
  await page.getByRole('button', { name: 'Close' }).click();
  await send.getByRole('button', { name: 'Execute' }).click();
  await status.getByText('202').waitFor();
  const answer = await send.locator('.live-responses-table .highlight-code').first().textContent();
  const [id] = /em_\w{26}/.exec(answer ?? '') ?? [];
  const email = await postrider.api('GET', `/v1/emails/${id}`);
  expect(email.body).toMatchObject({ id, subject: 'Your receipt', status: 'queued' });

  expect(requests.filter((url) => !url.startsWith(`${postrider.url}/`) && !url.startsWith('data:'))).toEqual([]);
  expect(trouble).toEqual([]);
});

it('gives the document as JSON and YAML, as openapi.yaml has it, without a key', async () => {
  const open = apiClient(postrider.url, null);
  const [json, yaml] = await Promise.all([open('GET', '/docs/json'), open('GET', '/docs/yaml')]);
  expect([json.status, yaml.status]).toEqual([200, 200]);
  const published = parse(readDocument('openapi.yaml'));
  expect(json.body).toEqual(published);
  expect(yaml.headers['content-type']).toBe('application/yaml');
  // It is JSON as well, so that no reader of YAML takes a time for a date.
  expect(yaml.body).toEqual(published);
});

it.each(['', '/', '/static/swagger-ui-bundle.js', '/json'])(
  '/docs%s runs only its own script, and cannot be framed',
  async (path) => {
    const { status, headers } = await apiClient(postrider.url, null)('GET', `/docs${path}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'x-frame-options': 'DENY', 'x-content-type-options': 'nosniff' });
    expect(headers['content-security-policy']).toContain(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';",
    );
    expect(headers['content-security-policy']).not.toContain('unsafe');
  },
);
