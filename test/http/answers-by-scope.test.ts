/** What every route answers to every kind of key: nothing of what is stored to one without `read`, and no secret to anybody later on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readOpenApi } from '../support/openapi.ts';
import { operationsOf } from '../support/openapi-rules.ts';
import { type ApiClient, apiClient, type Postrider, startPostrider } from '../support/postrider.ts';
import { openTestRedis } from '../support/redis.ts';

const opened = new AsyncDisposableStack();
let postrider: Postrider;
let template: string;
let transport: string;
beforeAll(async () => {
  const redis = opened.use(await openTestRedis());
  const SMTP_URL = `smtp://user:${secretOfOurs}@127.0.0.1:1?tls=none`;
  postrider = opened.use(await startPostrider({ REDIS_URL: redis.url, ROLES: 'api', SMTP_URL }));
  template = (await postrider.api('POST', '/v1/templates', things.templates())).body.id;
  transport = (await postrider.api('GET', '/v1/transports')).body.data[0]?.name ?? '';
});
afterAll(() => opened.disposeAsync());

/** What somebody else stored, wherever it can be said. */
const canary = 'canary-of-content';
const secretOfOurs = 'canary-of-secret';
const later = () => new Date(Date.now() + 3_600_000).toISOString();

const letter = { from: `${canary} <a@example.com>`, reply_to: `${canary}@example.com`, subject: canary };
const said = { ...letter, text: canary, html: canary, headers: { 'X-Canary': canary } };
const labels = { tags: [{ name: canary, value: canary }], metadata: { canary } };

const things = {
  emails: () => ({ ...said, ...labels, to: `${canary}@example.org`, external_id: canary, scheduled_at: later() }),
  campaigns: () => ({
    ...{ ...said, ...labels, name: canary, preheader: canary },
    variables: [{ key: 'name', type: 'string', fallback_value: canary }],
  }),
  templates: () => ({ ...letter, name: canary, text: canary, html: canary, preheader: canary }),
  webhooks: () => ({ endpoint: 'https://a.example/', events: ['email.sent'], headers: { 'X-Key': secretOfOurs } }),
  'api-keys': () => ({ name: 'another', scopes: ['manage'] }),
  suppressions: () => ({ email: 'd@example.org' }),
} as const;

type Noun = keyof typeof things;

/** Bodies that say nothing of what was planted, by operation; what is not here takes none. */
const bodies: Readonly<Record<string, () => unknown>> = {
  sendEmail: () => ({ from: 'a@example.com', to: 'b@example.org', template: { id: template } }),
  sendBatch: () => [{ from: 'a@example.com', to: 'b@example.org', template: { id: template } }],
  rescheduleEmail: () => ({ scheduled_at: later() }),
  createCampaign: () => ({ template: { id: template } }),
  updateCampaign: () => ({ rate: '5/s' }),
  addCampaignRecipients: () => [{ email: 'c@example.org' }],
  createTemplate: () => ({ name: 't', text: 'Hi' }),
  updateTemplate: () => ({ name: 'u' }),
  renderTemplate: () => ({}),
  addSuppression: () => ({ email: 'e@example.org' }),
  addSuppressions: () => ({ emails: ['g@example.org'] }),
  removeSuppressions: () => ({ emails: ['g@example.org'] }),
  importSuppressions: () => '{"email":"f@example.org"}\n',
  createApiKey: () => ({ name: 'k', scopes: ['manage'] }),
  renameApiKey: () => ({ name: 'l' }),
  createWebhook: () => ({ endpoint: 'https://b.example/', events: ['email.sent'] }),
  updateWebhook: () => ({ events: ['email.bounced'] }),
  replayWebhook: () => ({ since: '2026-01-01T00:00:00Z' }),
};

/** What cannot be done to a thing as it is made here, or is not there: what is answered then is looked at as well. */
const refused: Readonly<Record<string, number>> = {
  retryEmail: 409,
  pauseCampaign: 409,
  resumeCampaign: 409,
  retryFailedOfCampaign: 409,
  getWebhookDelivery: 404,
};

const kinds = [['send'], ['manage'], ['send', 'manage'], ['read'], ['read', 'send']] as const;

const operations = operationsOf(readOpenApi()).filter(({ path }) => path.startsWith('/v1/'));

/** Makes what the path names, with all that it can say. @returns the path, and its secret */
async function plant(path: string): Promise<{ readonly url: string; readonly secret: string }> {
  const noun = path.split('/')[2] as Noun;
  const thing = things[noun]?.();
  if (thing === undefined) return { url: path.replace('{name}', transport), secret: secretOfOurs };
  const { body } = await postrider.api('POST', `/v1/${noun}`, thing);
  if (noun === 'campaigns')
    await postrider.api('POST', `/v1/campaigns/${body.id}/recipients`, [{ email: `${canary}@example.org`, canary }]);
  const url = path
    .replace('{id}', body.id)
    .replace('{version}', '1')
    .replace('{email}', 'd@example.org')
    .replace('{delivery_id}', 'dl_none')
    .replace('/export', '/export?format=csv');
  return { url, secret: body.signing_secret ?? body.token ?? secretOfOurs };
}

describe.each(kinds.map((scopes) => ({ scopes })))('a key with $scopes', ({ scopes }) => {
  let api: ApiClient;
  beforeAll(async () => {
    const { body } = await postrider.api('POST', '/v1/api-keys', { name: 'k', scopes });
    api = apiClient(postrider.url, body.token);
  });

  it.each(operations)('$name', async ({ method, path, operation: { operationId = '', security } }) => {
    const [needed] = (security as [{ apiKey: [(typeof scopes)[number]] }])[0].apiKey;
    const { url, secret } = await plant(path);
    const body = bodies[operationId]?.();
    const type = operationId === 'importSuppressions' ? { 'content-type': 'application/x-ndjson' } : {};
    const answer = await api(method.toUpperCase() as Parameters<ApiClient>[0], url, body, type);
    const isLetIn = scopes.some((scope) => scope === needed);
    if (!isLetIn) expect(answer.status).toBe(403);
    else expect([200, 201, 202, refused[operationId]]).toContain(answer.status);
    const text = JSON.stringify([answer.body, answer.headers]);
    if (!(scopes as readonly string[]).includes('read')) expect(text).not.toContain(canary);
    for (const one of [secret, secretOfOurs]) expect(text).not.toContain(one);
  });
});
