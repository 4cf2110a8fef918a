/** Signatures a Standard Webhooks library accepts, secrets that stay sealed. */
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../src/domain/secret-box.ts';
import { webhookChanges, webhookRequest } from '../../src/domain/webhook.ts';
import {
  rotated,
  rotationMs,
  signatureHeaders,
  signingSecrets,
  webhookSecret,
} from '../../src/domain/webhook-signature.ts';

describe('a signature', () => {
  const secret = webhookSecret(randomBytes(32));
  const body = '{"type":"email.sent","data":{"subject":"Grüße"}}';
  const at = Math.floor(Date.now() / 1_000);

  it('is accepted by the standardwebhooks library', () => {
    expect(new Webhook(secret).verify(body, signatureHeaders('ev_1', at, body, [secret]))).toEqual(JSON.parse(body));
  });

  it('comes under the names of Svix as well, as the Resend SDKs and their documentation have it', () => {
    const headers = signatureHeaders('ev_1', at, body, [secret]);
    for (const name of ['id', 'timestamp', 'signature'])
      expect(headers[`svix-${name}`]).toEqual(headers[`webhook-${name}`]);
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

describe('a rotated secret', () => {
  const now = 1_764_000_000_000;
  const once = rotated({ secret: 'first', previousSecret: null }, 'second', now);

  it('still signs alongside the new one for a day, and no longer', () => {
    const signing = [0, rotationMs - 1, rotationMs].map((after) => signingSecrets(once, now + after));
    expect(signing).toEqual([['second', 'first'], ['second', 'first'], ['second']]);
  });

  it('no longer signs once there is another', () => {
    expect(signingSecrets(rotated(once, 'third', now + 1), now + 2)).toEqual(['third', 'second']);
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

  it.each(['a\nb', 'half a pair: \ud83d'])('is refused with the description %j', (description) => {
    const given = { endpoint: 'https://x.co/', events: ['email.sent'], description };
    expect(webhookRequest.safeParse(given).success).toBe(false);
  });

  it('takes an empty list for an empty object, as PHP writes it', () => {
    const given = { endpoint: 'https://x.co/', events: ['email.sent'], filter: { tags: [] }, headers: [] };
    expect(webhookRequest.parse(given)).toMatchObject({ filter: { tags: {} }, headers: {} });
    expect(webhookChanges.parse({ headers: [] })).toEqual({ headers: {} });
  });

  it('names each event once, however often it was given', () => {
    const events = ['email.sent', 'email.failed', 'email.sent'];
    expect(webhookRequest.parse({ endpoint: 'https://x.co/', events }).events).toEqual(['email.sent', 'email.failed']);
  });
});
