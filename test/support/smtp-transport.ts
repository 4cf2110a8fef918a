/** SMTP transports to a server of a test, and messages to send over them. */
import type { Line } from '../../src/domain/lane.ts';
import type { Outcome } from '../../src/domain/outcome.ts';
import { parseSmtpUrl } from '../../src/domain/smtp-url.ts';
import type { TransportSettings } from '../../src/domain/transport-plan.ts';
import { openSmtpTransport, type SmtpTransport, type SmtpTransportOptions } from '../../src/outbound/smtp-transport.ts';
import type { Message, Transport, Turn } from '../../src/outbound/transport.ts';

export const turn: Turn = { line: 'transactional', reserve: 0.25 };

/** A plaintext transport to this machine, without a login. */
export function settingsTo(port: number, more: Partial<TransportSettings> = {}): TransportSettings {
  const settings = parseSmtpUrl(`smtp://127.0.0.1:${port}?tls=none`);
  if ('faults' in settings) throw new Error(settings.faults.join());
  return { ...settings, ...more };
}

export function transportTo(
  port: number,
  more: Partial<TransportSettings> = {},
  options: SmtpTransportOptions = {},
): SmtpTransport {
  // A busy machine takes long over a message without the server being slow.
  return openSmtpTransport(settingsTo(port, more), { patienceMs: 60_000, ...options });
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

/** The same for mail of a campaign. */
export function sendOfCampaign(transport: Transport, to: string): Promise<Outcome> {
  return send(transport, to, 'campaign');
}
