/** Turns what `SMTPConnection` reports into an Outcome. The reply code speaks first; the library's own codes only where there is none. */
import type { SMTPConnectionEnvelopeInfo } from 'nodemailer/lib/smtp-connection';
import { parseReply } from '../domain/classify.ts';
import type { FaultCause } from '../domain/fault-cause.ts';
import type { Outcome, RecipientReply } from '../domain/outcome.ts';
import type { TransportFault } from './transport.ts';

export type SmtpError = Error & {
  code?: string | undefined;
  /** The code the system gave, where the library put its own in its place. */
  originalCode?: string | undefined;
  timeoutType?: string | undefined;
  command?: string | undefined;
  response?: string | undefined;
  responseCode?: number | undefined;
  recipient?: string | undefined;
};

/** How far a transaction had come when it ended; `envelope` is the object the library kept its books in. */
export type Progress = {
  readonly transport: string;
  readonly to: readonly string[];
  readonly bodyBegun: boolean;
  readonly envelope: Partial<SMTPConnectionEnvelopeInfo>;
};

export function acceptedBy(
  transport: string,
  to: readonly string[],
  response: string,
  refused: readonly RecipientReply[] = [],
): Outcome {
  const smtp = parseReply(response);
  const isRefused = new Set(refused.map((reply) => reply.address));
  const accepted = to.filter((address) => !isRefused.has(address)).map((address) => ({ address, smtp }));
  return { kind: 'answered', transport, replies: [...refused, ...accepted] };
}

export function outcomeOfSuccess(progress: Progress, response: string): Outcome {
  return acceptedBy(progress.transport, progress.to, response, refusedOf(progress));
}

export function outcomeOfError(progress: Progress, error: SmtpError): Outcome {
  const { transport, to, bodyBegun } = progress;
  const refused = refusedOf(progress);
  const detail = describe(error);
  const isAnswer = error.response !== undefined && (bodyBegun || error.command !== 'CONN');
  // A refusal of the sender, of DATA or of the body holds for every recipient that had no answer of its own.
  if (isAnswer) return acceptedBy(transport, to, error.response ?? '', refused);
  if (bodyBegun) return { kind: 'unknown', transport, detail, refused };
  if (error.code === 'EMESSAGE' || error.code === 'EENVELOPE') return { kind: 'undeliverable', transport, detail };
  // It was connected and logged in: whether that still works, the next connection tells.
  return transportFault(transport, error, 'protocol');
}

export function transportFault(transport: string, error: SmtpError, cause: FaultCause): TransportFault {
  return { kind: 'transport_fault', transport, cause, detail: describe(error) };
}

/** What opening a connection failed at. A server that is about to close (421) has refused nothing. */
export function causeOf({ code, originalCode = '', timeoutType, responseCode }: SmtpError): FaultCause {
  if (code === 'EDNS') return 'dns';
  if (responseCode === 421) return 'protocol';
  if (code === 'EAUTH') return 'login';
  if (code === 'ETLS' || timeoutType === 'UPGRADE_TIMEOUT' || tlsCodes.test(originalCode)) return 'tls';
  return responseCode !== undefined || code === 'EPROTOCOL' ? 'protocol' : 'connect';
}

/** OpenSSL's own codes, such as `CERT_HAS_EXPIRED`; those of sockets begin with E. */
const tlsCodes = /^(?:ERR_(?:SSL|TLS|OSSL)_|EPROTO$|ERROR_IN_|[^E])/;

function refusedOf({ envelope }: Progress): RecipientReply[] {
  return (envelope.rejectedErrors ?? []).flatMap((error: SmtpError) =>
    error.recipient === undefined || error.response === undefined
      ? []
      : [{ address: error.recipient, smtp: parseReply(error.response) }],
  );
}

/** The library's messages name the stage and repeat the server's words; they carry no credentials. */
function describe(error: SmtpError): string {
  return `${error.code ?? 'ERROR'}: ${error.message}`.slice(0, maxDetailLength);
}

const maxDetailLength = 500;
