/** Emails that are made of a template: alone and in a batch, with what they say themselves before what it says. */
import { describe, expect, it } from 'vitest';
import { type Answer, apiClient, type Postrider } from '../support/postrider.ts';
import { usePostrider } from '../support/use-postrider.ts';

let postrider: Postrider;
let id: string;
usePostrider(async (own) => {
  postrider = own;
  id = (
    await postrider.api('POST', '/v1/templates', {
      ...{ name: 'Order', alias: 'order', subject: 'Order {{ number }}', html: '<p>Dear {{ name }}</p>' },
      ...{ from: 'Acme <orders@example.com>', reply_to: 'help@example.com' },
    })
  ).body.id;
});

const variables = { name: 'Ada & <Co>', number: 7 };
const send = (body: object, headers = {}) =>
  postrider.api('POST', '/v1/emails', { to: 'ada@example.org', ...body }, headers);
const look = async (answer: { readonly id: string }) => (await postrider.api('GET', `/v1/emails/${answer.id}`)).body;
const told = ({ body }: Answer) => body.errors.map((one) => `${one.pointer} ${one.message}`);

describe('an email of a template', () => {
  it('is made of it when it is accepted, and says of which version', async () => {
    const { status, body } = await send({ template: { id: 'order', variables } });
    expect(status).toBe(202);
    expect(await look(body)).toMatchObject({
      from: 'Acme <orders@example.com>',
      reply_to: ['help@example.com'],
      subject: 'Order 7',
      html: '<p>Dear Ada &amp; &lt;Co&gt;</p>',
      text: 'Dear Ada & <Co>',
      template: { id, version: 1 },
    });
  });

  it('has its own fields take precedence over those of the template', async () => {
    const own = { from: 'Bob <bob@example.com>', reply_to: ['bob@example.com'], subject: 'Mine' };
    const { body } = await send({ ...own, template: { id, variables } });
    expect(await look(body)).toMatchObject({ ...own, html: expect.stringContaining('Dear Ada') });
  });

  it('is refused with every fault and its place', async () => {
    const refused = async (body: object) => told(await send(body));
    expect(await refused({ template: { id: 'order', variables: { name: 'x' } } })).toEqual([
      '/template/variables/number is missing',
    ]);
    expect(await refused({ template: { id: 'nothing' } })).toEqual(['/template/id is not a template here']);
    expect(await refused({ template: { id, version: 9, variables } })).toEqual([
      '/template/version is not a version of it',
    ]);
    expect(await refused({ template: { id, variables }, html: 'x', text: 'y' })).toEqual([
      '/html must not be given together with template',
      '/text must not be given together with template',
    ]);
    expect(await refused({ template: { name: 'order' } })).toEqual([
      '/template/id is required',
      '/template/name is not a known field',
    ]);
    const plain = (await postrider.api('POST', '/v1/templates', { name: 'Plain', text: 'x' })).body.id;
    expect(await refused({ template: { id: plain } })).toEqual([
      '/from is required: its template has none',
      '/subject is required: its template has none',
    ]);
  });

  it('is refused if its reader would see the name of a link instead of the link', async () => {
    const html = '<a href="{{ unsubscribe_url }}">Stop</a>';
    await postrider.api('POST', '/v1/templates', { name: 'Foot', alias: 'foot', subject: 's', html });
    const of = { from: 'a@example.com', template: { id: 'foot' } };
    const noLink = /^\/template has \{\{unsubscribe_url\}\}, and can have no such link/;
    const several = ['ada@example.org', 'bob@example.org'];
    for (const body of [of, { ...of, lane: 'bulk', to: several }, { ...of, lane: 'bulk', bcc: 'bob@example.org' }])
      expect(told(await send(body))).toEqual([expect.stringMatching(noLink)]);
    for (const body of [
      { ...of, lane: 'bulk' },
      { ...of, template: { id: 'foot', variables: { unsubscribe_url: 'https://shop.example/stop' } } },
    ])
      expect((await send(body)).status).toBe(202);
    const messages = [{ lane: 'bulk' }, { lane: 'transactional' }].map((one) => ({ to: 'ada@example.org', ...one }));
    const batch = await postrider.api('POST', '/v1/emails/batch', { base: of, messages });
    expect(told(batch)).toEqual([expect.stringMatching(/^\/messages\/1\/template has/)]);
  });

  it('or of no template is refused as well if it is bulk mail', async () => {
    const own = { from: 'a@example.com', subject: 's', html: '{{unsubscribe_url}}', text: '{{ unsubscribe_url }}' };
    const several = { ...own, lane: 'bulk', to: ['ada@example.org', 'bob@example.org'] };
    expect(told(await send(several)).map((fault) => fault.split(',')[0])).toEqual([
      '/html has {{unsubscribe_url}}',
      '/text has {{unsubscribe_url}}',
    ]);
    expect((await send({ ...own, lane: 'bulk' })).status).toBe(202);
    expect((await send(own)).status).toBe(202);
  });

  it.each<[what: string, body: object, faults: string[]]>([
    ['nothing', {}, ['/from is required', '/subject is required', '/html html or text is required']],
    [
      'a wrong sender',
      { from: 'nobody', subject: 's', text: 't' },
      ['/from is not an address: expected local-part@domain'],
    ],
    ['no subject', { from: 'a@example.com', text: 't' }, ['/subject is required']],
  ])('or of none has what it needs: %s', async (_, body, faults) => {
    expect(told(await send(body))).toEqual(faults);
  });

  it('keeps to what its key may do, also when the template sets the sender', async () => {
    const { body } = await postrider.api('POST', '/v1/api-keys', {
      name: 'k',
      scopes: ['send'],
      from_domains: ['example.net'],
    });
    const answer = await apiClient(postrider.url, body.token)('POST', '/v1/emails', {
      to: 'ada@example.org',
      template: { id, variables },
    });
    expect([answer.status, told(answer)]).toEqual([403, ['/from this key may not send from example.com']]);
  });

  it('gets its answer again under its Idempotency-Key, also when the template is gone', async () => {
    const { body: made } = await postrider.api('POST', '/v1/templates', { name: 'Short', text: 'x', subject: 's' });
    const email = { from: 'a@example.com', template: { id: made.id } };
    const key = { 'idempotency-key': 'of-template' };
    const first = await send(email, key);
    await postrider.api('DELETE', `/v1/templates/${made.id}`);
    const again = await send(email, key);
    expect([again.status, again.body, again.headers['idempotent-replayed']]).toEqual([202, first.body, 'true']);
    expect((await send(email)).status).toBe(422);
  });
});

describe('a batch of a template', () => {
  const batch = (messages: object[], headers = {}) =>
    postrider.api(
      'POST',
      '/v1/emails/batch',
      messages.map((one) => ({ to: 'ada@example.org', ...one })),
      headers,
    );

  it('is made of it for each, in one step with others', async () => {
    const { status, body } = await batch([
      ...[1, 2].map((number) => ({ template: { id: 'order', variables: { ...variables, number } } })),
      { from: 'a@example.com', subject: 'Plain', text: 'x' },
    ]);
    expect(status).toBe(202);
    const emails = await Promise.all(body.data.map(look));
    expect(emails).toMatchObject([
      { subject: 'Order 1', template: { id, version: 1 } },
      { subject: 'Order 2', template: { id, version: 1 } },
      { subject: 'Plain', template: null },
    ]);
  });

  it('reports each email that lacks something, and accepts the others if allowed to', async () => {
    const messages = [
      { template: { id: 'order', variables } },
      { template: { id: 'order', variables: { name: 'x' } } },
      { template: { id: 'nothing' } },
    ];
    expect(told(await batch(messages))).toEqual([
      '/1/template/variables/number is missing',
      '/2/template/id is not a template here',
    ]);
    const { body } = await batch(messages, { 'x-batch-validation': 'permissive' });
    expect([body.data.length, body.errors]).toEqual([
      1,
      [
        { index: 1, message: '/1/template/variables/number: is missing' },
        { index: 2, message: '/2/template/id: is not a template here' },
      ],
    ]);
  });

  it('with a base names it once', async () => {
    const base = { template: { id: 'order', variables } };
    const messages = [{ to: 'a@example.org' }, { to: 'b@example.org', subject: 'Mine' }];
    const { body } = await postrider.api('POST', '/v1/emails/batch', { base, messages });
    expect(await Promise.all(body.data.map(look))).toMatchObject([{ subject: 'Order 7' }, { subject: 'Mine' }]);
  });
});
