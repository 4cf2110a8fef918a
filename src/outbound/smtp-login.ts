/** Logs in (RFC 4954). The library does PLAIN, LOGIN and CRAM-MD5. XOAUTH2 is done here, because a refused token may have to be renewed. */
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SMTPConnectionCustomAuthHandler } from 'nodemailer/lib/smtp-connection';
import { parseReply } from '../domain/classify.ts';
import type { Auth } from '../domain/transport-plan.ts';
import type { Token, Tokens } from './oauth-tokens.ts';

/** Not `XOAUTH2`: under that name the library would prefer a password login when the server takes both. */
const tokenMethod = 'TOKEN';

/** The login methods of one connection that are done here. */
export type Logins = {
  /** Handlers that the connection needs when it is made. */
  readonly custom: Record<string, SMTPConnectionCustomAuthHandler>;
  /** In words, what the login waits for while another process has its turn; null otherwise. */
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
    get: () => waitFor(tokens.get()),
    renew: (refused: string) => waitFor(tokens.renew(refused)),
    refuse: tokens.refuse,
  };
  return {
    custom: { [tokenMethod]: ({ sendCommand }) => loginWithToken(auth.user, own, sendCommand) },
    get awaits() {
      return isWaiting ? tokens.awaits : null;
    },
  };
}

/** @throws SmtpError when the login is refused or the connection ends */
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

/** A shorter secret would match text that is not the secret. */
const shortestSecret = 4;

/** Masks secrets in a reply: some servers repeat a command that they did not understand. */
export function withoutSecrets(reply: string, auth: Auth | null): string {
  if (auth === null) return reply;
  const secrets = auth.kind === 'password' ? [auth.pass, `\0${auth.user}\0${auth.pass}`] : [];
  const forms = secrets.flatMap((secret) => [Buffer.from(secret).toString('base64'), secret]);
  const masked = forms
    .filter(({ length }) => length >= shortestSecret)
    .reduce((text, form) => text.replaceAll(form, '***'), reply);
  return masked.replaceAll(/\b(AUTH \S+) [\w+/=]{24,}/gi, '$1 ***');
}

/** The reply of the server as text: the library does not read the code of a reply with several lines. */
type Reply = { readonly response: string };

const codeOf = ({ response }: Reply): number => parseReply(response).code;

/** One renewal for a token that this process kept, and one for a token that another process was given meanwhile. */
const mostRenewals = 2;

/** A kept token may have been revoked: when it is refused, it is renewed. */
async function loginWithToken(
  user: string,
  tokens: Pick<Tokens, 'get' | 'renew' | 'refuse'>,
  send: (line: string) => Promise<Reply>,
): Promise<void> {
  const present = async (token: string): Promise<Reply> => {
    const first = await send(`AUTH XOAUTH2 ${initialResponse(user, token)}`);
    // 334 carries the reason of a refusal, in JSON. The refusal itself comes after we send an empty line.
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
