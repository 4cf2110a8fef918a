/** Logging in (RFC 4954): PLAIN, LOGIN and CRAM-MD5 are the library's, XOAUTH2 is ours, as its token may be refused and got anew. */
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionCustomAuthHandler } from 'nodemailer/lib/smtp-connection';
import { parseReply } from '../domain/classify.ts';
import type { Auth } from '../domain/transport-plan.ts';
import type { Token, Tokens } from './oauth-tokens.ts';

/** Under its own name the library would rather log in with a password where the server takes both. */
const tokenMethod = 'TOKEN';

/** The logins of one connection that are ours. */
export type Logins = {
  /** What it must know of when it is made. */
  readonly custom: Record<string, SMTPConnectionCustomAuthHandler>;
  /** Whose turn it waits for at this moment, in words; null when it waits for nobody. */
  readonly awaits: string | null;
};

export function loginsOf(auth: Auth | null, tokens: Tokens | null): Logins {
  if (auth === null || tokens === null) return { custom: {}, awaits: null };
  let isWaiting = false;
  async function waitFor(token: Promise<Token>): Promise<Token> {
    isWaiting = true;
    try {
      return await token;
    } finally {
      isWaiting = false;
    }
  }
  const own = {
    ...{ get: () => waitFor(tokens.get()), renew: (refused: string) => waitFor(tokens.renew(refused)) },
    refuse: tokens.refuse,
  };
  return {
    custom: { [tokenMethod]: ({ sendCommand }) => loginWithToken(auth.user, own, sendCommand) },
    get awaits() {
      return isWaiting ? tokens.awaits : null;
    },
  };
}

/** @throws SmtpError when it is refused or the connection ends */
export function login(connection: SMTPConnection, auth: Auth): Promise<void> {
  return new Promise((loggedIn, failed) => {
    const fail = (error: Error = new Error('Connection closed during login')) => failed(error);
    connection.once('end', fail);
    connection.once('error', fail);
    connection.login(credentialsOf(auth), (error) => {
      connection.removeListener('end', fail);
      connection.removeListener('error', fail);
      if (error) failed(error);
      else loggedIn();
    });
  });
}

function credentialsOf(auth: Auth): SMTPConnection.AuthenticationType {
  if (auth.kind === 'oauth2') return { user: auth.user, method: tokenMethod };
  return { user: auth.user, pass: auth.pass, method: auth.method ?? false };
}

/** A shorter one would be found where it is not meant. */
const shortestSecret = 4;

/** Some servers repeat in a reply what they did not understand. */
export function withoutSecrets(reply: string, auth: Auth | null): string {
  if (auth === null) return reply;
  const secrets = auth.kind === 'password' ? [auth.pass, `\0${auth.user}\0${auth.pass}`] : [];
  const forms = secrets.flatMap((secret) => [Buffer.from(secret).toString('base64'), secret]);
  const masked = forms
    .filter(({ length }) => length >= shortestSecret)
    .reduce((text, form) => text.replaceAll(form, '***'), reply);
  return masked.replaceAll(/\b(AUTH \S+) [\w+/=]{24,}/gi, '$1 ***');
}

/** As the server gave it: of one with several lines the library does not read the code. */
type Reply = { readonly response: string };

const codeOf = ({ response }: Reply): number => parseReply(response).code;

/** One that this process had, and one that another was given meanwhile. */
const mostRenewals = 2;

/** A token that was kept may have been revoked: refused, it is got anew. */
async function loginWithToken(
  user: string,
  tokens: Pick<Tokens, 'get' | 'renew' | 'refuse'>,
  send: (line: string) => Promise<Reply>,
): Promise<void> {
  const present = async (token: string): Promise<Reply> => {
    const first = await send(`AUTH XOAUTH2 ${initialResponse(user, token)}`);
    // Why it is refused, in JSON: the refusal itself comes after an empty line.
    return codeOf(first) === 334 ? send('') : first;
  };
  let token = await tokens.get();
  let reply = await present(token.value);
  for (let renewals = 0; codeOf(reply) === 535 && token.isKept && renewals < mostRenewals; renewals += 1) {
    token = await tokens.renew(token.value);
    reply = await present(token.value);
  }
  if (codeOf(reply) === 535) await tokens.refuse(token.value);
  if (codeOf(reply) !== 235) throw new Error('Invalid login');
}

/** https://developers.google.com/workspace/gmail/imap/xoauth2-protocol#initial_client_response */
function initialResponse(user: string, token: string): string {
  return Buffer.from(`user=${user}\x01auth=Bearer ${token}\x01\x01`).toString('base64');
}
