/** The server's side of AUTH: PLAIN, LOGIN, CRAM-MD5 and XOAUTH2 as their specifications have them. */
import { createHmac } from 'node:crypto';

export type ScriptedLogin = {
  /** As offered after EHLO. */
  readonly methods: readonly ('PLAIN' | 'LOGIN' | 'CRAM-MD5' | 'XOAUTH2')[];
  readonly user: string;
  readonly pass?: string;
  /** Whether an access token is good now. */
  takesToken?(token: string): boolean;
  /** Refuse a bad token at once, without the challenge that says why. */
  readonly isTerse?: boolean;
  /** Says so in two lines, whatever the answer is. */
  readonly isWordy?: boolean;
};

/** Yields challenges and is given the lines that answer them; returns whether the client is who it says. */
export type LoginDialog = Generator<string, boolean, string>;

export function* loginDialog(login: ScriptedLogin, line: string): LoginDialog {
  const [, method = '', initial] = line.split(' ');
  const isPassword = (user?: string, pass?: string) => user === login.user && pass === login.pass;
  switch (method) {
    case 'PLAIN': {
      const [, user, pass] = decode(initial ?? (yield challenge(''))).split('\0');
      return isPassword(user, pass);
    }
    case 'LOGIN': {
      const user = decode(yield challenge('Username:'));
      return isPassword(user, decode(yield challenge('Password:')));
    }
    case 'CRAM-MD5': {
      const text = '<1896.697170952@scripted>';
      const digest = createHmac('md5', login.pass ?? '')
        .update(text)
        .digest('hex');
      return decode(yield challenge(text)) === `${login.user} ${digest}`;
    }
    case 'XOAUTH2': {
      const [user, bearer = ''] = decode(initial ?? '').split('\u0001');
      const token = bearer.slice('auth=Bearer '.length);
      if (user === `user=${login.user}` && login.takesToken?.(token)) return true;
      if (!login.isTerse) yield challenge('{"status":"401","schemes":"bearer"}');
      return false;
    }
    default:
      return false;
  }
}

function challenge(text: string): string {
  return `334 ${Buffer.from(text).toString('base64')}`;
}

function decode(text: string): string {
  return Buffer.from(text, 'base64').toString();
}
