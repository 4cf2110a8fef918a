/** Turns what a server answered, or how a connection failed, into an Outcome. */
import { classify, parseReply } from '../domain/classify.ts';
import type { FaultCause } from '../domain/fault-cause.ts';
import type { Outcome, RecipientReply, SharedStage } from '../domain/outcome.ts';
import { inPlainWords } from '../domain/tls-trouble.ts';
import type { TransportFault } from './transport.ts';

export type SmtpError = Error & {
  code?: string | undefined;
  /** The code of the system, when the library replaced it with its own. */
  originalCode?: string | undefined;
  timeoutType?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
};

type Answered = Extract<Outcome, { kind: 'answered' }>;

/** @param response the reply for every recipient without a refusal of its own */
export function answeredBy(
  transport: string,
  to: readonly string[],
  response: string,
  { refused, stage }: { readonly refused: readonly RecipientReply[]; readonly stage: SharedStage },
): Answered {
  const smtp = parseReply(response);
  const isRefused = new Set(refused.map((reply) => reply.address));
  const others = to.filter((address) => !isRefused.has(address)).map((address) => ({ address, smtp, stage }));
  return { kind: 'answered', transport, replies: [...refused, ...others] };
}

/** The outcome of a message whose connection ended. */
export function outcomeOfEnd(
  transport: string,
  { refused, begunAt }: { readonly refused: readonly RecipientReply[]; readonly begunAt: number | null },
  error: SmtpError,
): TransportFault | Extract<Outcome, { kind: 'unknown' }> {
  if (begunAt !== null) return { kind: 'unknown', transport, detail: describe(error), refused };
  // Connecting and logging in worked before this message; the next connection shows whether they still do.
  return { ...transportFault(transport, error, 'protocol'), byMessage: true };
}

export function transportFault(transport: string, error: SmtpError, cause: FaultCause): TransportFault {
  return { kind: 'transport_fault', transport, cause, detail: describe(error) };
}

/** What kept a session from being opened. */
export function openingFault(transport: string, error: SmtpError): TransportFault {
  const fault = transportFault(transport, error, causeOf(error));
  return isOneTooMany(error) ? { ...fault, isCrowded: true } : fault;
}

function isOneTooMany({ response = '' }: SmtpError): boolean {
  return response.startsWith('4') && classify(parseReply(response)).category === 'too_many_connections';
}

/** What opening a connection failed at. A server that is about to close (421) has refused nothing. */
function causeOf({ code, originalCode = '', timeoutType, responseCode }: SmtpError): FaultCause {
  if (code === 'EDNS') return 'dns';
  if (responseCode === 421) return 'protocol';
  if (code === 'EAUTH') return 'login';
  if (code === 'ETLS' || timeoutType === 'UPGRADE_TIMEOUT' || tlsCodes.test(originalCode)) return 'tls';
  return responseCode !== undefined || code === 'EPROTOCOL' ? 'protocol' : 'connect';
}

/** OpenSSL's own codes, such as `CERT_HAS_EXPIRED`; codes of sockets begin with E. */
const tlsCodes = /^(?:ERR_(?:SSL|TLS|OSSL)_|EPROTO$|ERROR_IN_|[^E])/;

/** The library's messages name the stage and repeat the server's words, some of them twice; they carry no credentials. */
function describe({ code = 'ERROR', message, response }: SmtpError): string {
  const once = inPlainWords(message.replace(`. response=${response}`, () => ''));
  return `${code}: ${once}`.slice(0, maxDetailLength);
}

const maxDetailLength = 500;
