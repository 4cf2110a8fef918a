/** Signatures a Standard Webhooks library accepts, secrets that stay sealed, and when a POST is tried again. */
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { decidePost, postId, readPostId } from '../../src/domain/post.ts';
import { seal, unseal } from '../../src/domain/secret-box.ts';
import { webhookRequest } from '../../src/domain/webhook.ts';
import { signatureHeaders, webhookSecret } from '../../src/domain/webhook-signature.ts';

describe('a signature', () => {
  const secret = webhookSecret(randomBytes(32));
  const body = '{"type":"email.sent","data":{"subject":"Grüße"}}';
  const at = Math.floor(Date.now() / 1_000);

  it('is accepted by the standardwebhooks library', () => {
    expect(new Webhook(secret).verify(body, signatureHeaders('ev_1', at, body, [secret]))).toEqual(JSON.parse(body));
  });

  it('is refused for another body, id, time or secret', () => {
    const headers = signatureHeaders('ev_1', at, body, [secret]);
    const verifier = new Webhook(secret);
    expect(() => verifier.verify(`${body} `, headers)).toThrow();
    expect(() => verifier.verify(body, { ...headers, 'webhook-id': 'ev_2' })).toThrow();
    expect(() => verifier.verify(body, { ...headers, 'webhook-timestamp': String(at + 1) })).toThrow();
    expect(() => new Webhook(webhookSecret(randomBytes(32))).verify(body, headers)).toThrow();
  });
});

describe('a sealed secret', () => {
  const key = randomBytes(32);
  const sealed = seal('whsec_abc', key, randomBytes(12));

  it('opens with its key and shows nothing without', () => {
    expect(unseal(sealed, key)).toBe('whsec_abc');
    expect(sealed).not.toContain('whsec');
    expect(() => unseal(sealed, randomBytes(32))).toThrow();
    expect(() => unseal(`${sealed.slice(0, -2)}AA`, key)).toThrow();
  });
});

describe('a POST', () => {
  const schedule = [5_000, 300_000];

  it.each([200, 204, 299])('answered %i is done', (status) => {
    expect(decidePost({ status }, 1, schedule, 0, 0)).toEqual({ done: true });
  });

  it.each([0, 100, 301, 302, 404, 429, 500, 503])('answered %i is tried again on the schedule', (status) => {
    expect(decidePost({ status }, 1, schedule, 1_000, 0)).toEqual({ again: 6_000 });
    expect(decidePost({ status }, 2, schedule, 1_000, 0)).toEqual({ again: 301_000 });
  });

  it('is given up after the last wait of the schedule', () => {
    expect(decidePost({ status: 500 }, 3, schedule, 0, 0)).toEqual({ done: true });
  });

  it('finds its endpoint and event by its job id', () => {
    expect(readPostId(postId({ webhookId: 'wh_1', place: '17-0' }))).toEqual({ webhookId: 'wh_1', place: '17-0' });
  });
});

describe('a webhook request', () => {
  it.each(['ftp://x.co/', 'not a url', 'http://user:pass@x.co/', 'javascript:alert(1)'])(
    'is refused for %s',
    (endpoint) => {
      expect(webhookRequest.safeParse({ endpoint, events: ['email.sent'] }).success).toBe(false);
    },
  );

  it('is refused for an event there is not', () => {
    expect(webhookRequest.safeParse({ endpoint: 'https://x.co/', events: ['email.imagined'] }).success).toBe(false);
  });

  it('names each event once, however often it was given', () => {
    const events = ['email.sent', 'email.failed', 'email.sent'];
    expect(webhookRequest.parse({ endpoint: 'https://x.co/', events }).events).toEqual(['email.sent', 'email.failed']);
  });
});
