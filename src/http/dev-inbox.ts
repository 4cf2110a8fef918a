/** /dev/inbox: captured mail for people (a page) and scripts (JSON). It exists only where mail is captured, and asks for no key. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Inbox } from '../store/inbox.ts';
import { contentDisposition } from './dev-inbox/disposition.ts';
import { openFeed } from './dev-inbox/feed.ts';
import { frameHtml, framePolicy } from './dev-inbox/frame.ts';
import { guard } from './dev-inbox/guard.ts';
import { openMailbox } from './dev-inbox/mailbox.ts';
import { ProblemError } from './problems.ts';
import type { App, Routes } from './server.ts';
import { streamHeaders } from './sse.ts';

type Feed = ReturnType<typeof openFeed>;
type Mailbox = ReturnType<typeof openMailbox>;
type Deps = { inbox: Pick<Inbox, 'list' | 'get' | 'watch' | 'clear'> };

/** Only our own script, style and frame; `trusted-types` bars every way from a string to markup in the page's script. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "frame-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** If a browser shows one of these files, the file runs nothing and fetches nothing. */
const filePolicy = "sandbox; default-src 'none'";

const types = { css: 'text/css', js: 'text/javascript' };
const assets = [
  { name: 'page.css', type: types.css },
  { name: 'detail.css', type: types.css },
  { name: 'page.js', type: types.js },
  { name: 'list.js', type: types.js },
  { name: 'detail.js', type: types.js },
  { name: 'dom.js', type: types.js },
];

/** Strict: an unknown filter must not look like one that matches everything. */
const filters = z.strictObject({ to: z.string().optional(), email_id: z.string().optional() });
const oneMail = z.object({ id: z.string() });
const oneFile = z.object({ id: z.string(), index: z.coerce.number().int().min(0) });

export function devInboxRoutes(deps: Deps): Routes {
  return (app) => {
    const mailbox = openMailbox(deps);
    const feed = openFeed(deps);
    app.addHook('onRequest', guard);
    app.addHook('preClose', async () => feed.close());

    addPage(app);
    addFeed(app, feed);
    addMails(app, deps, mailbox);
    addContents(app, mailbox);
  };
}

function addPage(app: App): void {
  const page = readAsset('page.html');
  app.get('/dev/inbox', { schema: { hide: true } }, (request, reply) => {
    // The links of the page are relative to its address without a slash.
    if (/^[^?]*\/(\?|$)/.test(request.url)) return reply.redirect('../inbox');
    return reply
      .type('text/html; charset=utf-8')
      .headers({ 'content-security-policy': pagePolicy, 'x-frame-options': 'DENY' })
      .send(page);
  });
  for (const { name, type } of assets) {
    const text = readAsset(name);
    app.get(`/dev/inbox/${name}`, { schema: { hide: true } }, (_request, reply) =>
      reply.type(`${type}; charset=utf-8`).send(text),
    );
  }
}

function readAsset(name: string): string {
  return readFileSync(new URL(`./dev-inbox/${name}`, import.meta.url), 'utf8');
}

function addFeed(app: App, feed: Feed): void {
  app.get('/dev/inbox/events', { schema: { hide: true } }, async ({ method }, reply) => {
    if (method === 'HEAD') return reply.headers(streamHeaders).send('');
    reply.hijack();
    await feed.join(reply.raw, reply.getHeaders() as Record<string, string>);
  });
}

function addMails(app: App, { inbox }: Pick<Deps, 'inbox'>, mailbox: Mailbox): void {
  app.get('/dev/inbox.json', { schema: { hide: true, querystring: filters } }, async ({ query }) => ({
    object: 'list',
    data: await mailbox.list(query),
  }));
  app.delete('/dev/inbox.json', { schema: { hide: true } }, async (_request, reply) => {
    await inbox.clear();
    return reply.status(204).send();
  });
  app.get('/dev/inbox/:id.json', { schema: { hide: true, params: oneMail } }, async ({ params }) => ({
    object: 'mail',
    ...(await mailbox.open(params.id)).view,
  }));
}

/** HTML, source and attachments: what a mail brings, none of it trusted. */
function addContents(app: App, mailbox: Mailbox): void {
  app.get('/dev/inbox/:id/html', { schema: { hide: true, params: oneMail } }, async ({ params }, reply) => {
    const { view, files } = await mailbox.open(params.id);
    if (view.html === null) throw new ProblemError('not_found', `Mail ${params.id} has no HTML`);
    return reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', framePolicy)
      .send(frameHtml(view.html, files));
  });
  app.get('/dev/inbox/:id/raw', { schema: { hide: true, params: oneMail } }, async ({ params }, reply) =>
    reply
      .type('text/plain; charset=utf-8')
      .headers({
        'content-security-policy': filePolicy,
        'content-disposition': contentDisposition('inline', `${params.id}.eml`),
      })
      .send(await mailbox.raw(params.id)),
  );
  app.get(
    '/dev/inbox/:id/attachments/:index',
    { schema: { hide: true, params: oneFile } },
    async ({ params: { id, index } }, reply) => {
      const file = (await mailbox.open(id)).files[index];
      if (file === undefined) throw new ProblemError('not_found', `Mail ${id} has no attachment ${index}`);
      // Never the type that the file claims: a script served from this origin would be allowed by the page's policy.
      return reply
        .type('application/octet-stream')
        .headers({
          'content-security-policy': filePolicy,
          'content-disposition': contentDisposition('attachment', file.filename ?? `attachment-${index}`),
        })
        .send(file.content);
    },
  );
}
