/** SMTP transports to a server of a test, and messages to send over them. */
import { monotonicNow, rand } from '../../src/chance.ts';
import type { Line } from '../../src/domain/lane.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import type { TransportSettings } from '../../src/domain/transport-plan.ts';
import { openSmtpTransport, type SmtpTransport, type SmtpTransportOptions } from '../../src/outbound/smtp-transport.ts';
import type { Message, Transport, Turn } from '../../src/outbound/transport.ts';
import { ownTokens } from './tokens.ts';

export type TransportOptions = Partial<SmtpTransportOptions>;

export const turn: Turn = { line: 'transactional', reserve: 0.25 };

/** A plaintext transport to this machine, without a login. */
export function settingsTo(port: number, more: Partial<TransportSettings> = {}): TransportSettings {
  const settings = parseSmtpUrl(`smtp://127.0.0.1:${port}?tls=none`);
  if ('faults' in settings) throw new Error(settings.faults.join());
  return { ...settings, ...more };
}

/** With clocks and tokens of its own, where `options` gives no others. */
export function openTransport(settings: TransportSettings, options: TransportOptions = {}): SmtpTransport {
  const { now = monotonicNow } = options;
  return openSmtpTransport(settings, { now, rand, tokensOf: ownTokens(now), ...options });
}

export function transportTo(
  port: number,
  more: Partial<TransportSettings> = {},
  options: TransportOptions = {},
): SmtpTransport {
  // A busy machine takes long over a message without the server being slow.
  return openTransport(settingsTo(port, more), { patienceMs: 60_000, ...options });
}

export function message(...to: string[]): Message {
  return { emailId: 'em_1', envelope: { from: 'a@x.co', to }, raw: Buffer.from('Subject: s\r\n\r\n.dot\r\nlast line') };
}

/** Sends one message that nobody else claims. */
export function send(
  transport: Transport,
  to = 'b@x.co',
  line: Line = 'transactional',
  reserve = 0.25,
): Promise<Outcome> {
  return transport.send(message(to), async () => true, { line, reserve });
}

/** Each to a recipient of its own, all at once. */
export function sendMany(transport: Transport, count: number): Promise<Outcome[]> {
  return Promise.all(Array.from({ length: count }, (_, at) => send(transport, `b${at}@x.co`)));
}

/** The same for mail of a campaign. */
export function sendOfCampaign(transport: Transport, to: string): Promise<Outcome> {
  return send(transport, to, 'campaign');
}
