/** An SMTP server on a bare socket that does at each stage what a test says: answer anything, stall, or end the connection in any way. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Certificate } from './certificate.ts';
import { type LoginDialog, loginDialog, type ScriptedLogin } from './scripted-login.ts';

/** Reply lines, or what to do instead of replying; a connection that stalls is never answered again. */
export type Act = string | 'drop' | 'reset' | 'half-close' | 'stall';

/** `body begins` is asked at the first octets of a message, where nothing is the usual answer; `body` after its final dot. */
export type Stage =
  | 'connect'
  | 'EHLO'
  | 'HELO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'body begins'
  | 'body'
  | 'RSET'
  | 'QUIT';

export type ScriptedSmtp = AsyncDisposable & {
  readonly port: number;
  /** Every command line it was sent, over all connections. */
  readonly lines: readonly string[];
  /** What it was sent, as it came off the socket. */
  readonly reads: readonly string[];
  /** Bodies that came in whole, dots still stuffed. */
  readonly bodies: readonly string[];
  /** Connections accepted so far, open now, and open at once at most. */
  readonly connections: number;
  readonly open: number;
  readonly peak: number;
  /** Common names of the client certificates that were shown. */
  readonly clients: readonly string[];
  /** TLS versions, one for each session that was secured. */
  readonly secured: readonly (string | null)[];
  /** Does it on every open connection, unasked. */
  interrupt(act: Act): void;
  /** Refuses connections from here on; those that are open stay. */
  shut(): void;
  /** Takes connections again, at the same port. */
  reopen(): Promise<void>;
};

export type ScriptedOptions = {
  /** What it offers after EHLO, beside STARTTLS and AUTH. */
  readonly extensions?: readonly string[];
  readonly tls?: {
    readonly certificate: Pick<Certificate, 'key' | 'cert'>;
    readonly isImplicit?: boolean;
    /** Demands a client certificate from this authority (PEM). */
    readonly clientCa?: string;
  };
  readonly login?: ScriptedLogin;
};

/** @param act asked at each stage with the line that led there and the number of the connection, from 1; undefined does the usual */
export type Script = (stage: Stage, line: string, connection: number) => Act | undefined | Promise<Act | undefined>;

const usual: Record<Exclude<Stage, 'EHLO' | 'body begins'>, string> = {
  connect: '220 scripted ESMTP',
  HELO: '250 scripted',
  STARTTLS: '220 2.0.0 Ready',
  AUTH: '235 2.7.0 Ok',
  MAIL: '250 2.1.0 Ok',
  RCPT: '250 2.1.5 Ok',
  DATA: '354 Go on',
  body: '250 2.0.0 Ok: queued',
  RSET: '250 2.0.0 Ok',
  QUIT: '221 2.0.0 Bye',
};

export async function openScriptedSmtp(
  act: Script = () => undefined,
  { extensions = ['PIPELINING'], tls, login }: ScriptedOptions = {},
): Promise<ScriptedSmtp> {
  const seen = { lines: [] as string[], reads: [] as string[], bodies: [] as string[], clients: [] as string[] };
  const secured: (string | null)[] = [];
  const sockets = new Map<Socket, Talk>();
  let connections = 0;
  let peak = 0;

  function accept(socket: Socket): void {
    connections += 1;
    const talk = new Talk(connections);
    sockets.set(socket, talk);
    peak = Math.max(peak, sockets.size);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    if (tls?.isImplicit) secure(socket, talk, true);
    else talk.over(socket, true);
  }

  function secure(socket: Socket, talk: Talk, greets: boolean): void {
    const { certificate, clientCa } = tls as NonNullable<typeof tls>;
    const demand = clientCa === undefined ? {} : { ca: clientCa, requestCert: true };
    const wrapper = createTlsServer({ key: certificate.key, cert: certificate.cert, ...demand }, (inner: TLSSocket) => {
      secured.push(inner.getProtocol());
      if (clientCa !== undefined) seen.clients.push(String(inner.getPeerCertificate().subject.CN));
      inner.on('error', () => {});
      talk.over(inner, greets);
    });
    wrapper.on('tlsClientError', () => {});
    wrapper.emit('connection', socket);
  }

  /** One connection's dialogue, whatever socket it runs over at the moment. */
  class Talk {
    readonly #number: number;
    #socket: Socket | undefined;
    #held = '';
    #isStepping = false;
    #isMute = false;
    #isSecure = tls?.isImplicit ?? false;
    #body: 'none' | 'awaited' | 'begun' = 'none';
    #dialog: LoginDialog | null = null;
    #isOpen = false;
    #accepted = 0;

    constructor(number: number) {
      this.#number = number;
    }

    over(socket: Socket, greets: boolean): void {
      this.#socket = socket;
      socket.on('end', () => socket.end());
      socket.on('data', (chunk: Buffer) => {
        seen.reads.push(chunk.toString());
        this.#held += chunk.toString('latin1');
        void this.#drain();
      });
      if (greets) void this.#answer('connect', '');
    }

    async #drain(): Promise<void> {
      if (this.#isStepping) return;
      this.#isStepping = true;
      while (await this.#step());
      this.#isStepping = false;
    }

    async #step(): Promise<boolean> {
      if (this.#body === 'awaited' && this.#held !== '') {
        this.#body = 'begun';
        await this.#answer('body begins', '');
      }
      const end = this.#body === 'none' ? '\r\n' : '\r\n.\r\n';
      const at = this.#held.indexOf(end);
      if (at < 0 || this.#socket?.destroyed) return false;
      const piece = Buffer.from(this.#held.slice(0, at), 'latin1').toString();
      this.#held = this.#held.slice(at + end.length);
      if (this.#body === 'begun') {
        this.#body = 'none';
        seen.bodies.push(piece);
        await this.#answer('body', '');
      } else if (this.#dialog !== null) {
        this.#converse(this.#dialog, piece);
      } else {
        seen.lines.push(piece);
        await this.#answer(piece.split(/[ :]/, 1)[0]?.toUpperCase() as Stage, piece);
      }
      return true;
    }

    async #answer(stage: Stage, line: string): Promise<void> {
      const what = (await act(stage, line, this.#number)) ?? this.#otherwise(stage, line);
      if (what === null || this.#isMute) return;
      if (stage === 'MAIL') this.#isOpen ||= what.startsWith('250');
      if (stage === 'RCPT' && what.startsWith('250')) this.#accepted += 1;
      if (stage === 'RSET' || stage === 'body' || stage === 'EHLO') {
        this.#isOpen = false;
        this.#accepted = 0;
      }
      if (stage === 'DATA' && what.startsWith('354')) this.#body = 'awaited';
      this.act(what);
      if (stage === 'QUIT' && what !== 'stall') this.#socket?.end();
      if (stage === 'STARTTLS' && what.startsWith('220') && tls !== undefined) this.#goSecret();
    }

    act(what: Act): void {
      if (what === 'drop') this.#socket?.destroy();
      else if (what === 'reset') this.#socket?.resetAndDestroy();
      else if (what === 'half-close') this.#socket?.end();
      else if (what === 'stall') this.#isMute = true;
      else this.#socket?.write(`${what}\r\n`);
    }

    /** As any server does: a transaction ends with its body or RSET, and one without a recipient has no DATA. */
    #otherwise(stage: Stage, line: string): string | null {
      if (stage === 'body begins') return null;
      if (stage === 'EHLO') return this.#offers();
      if (stage === 'MAIL' && this.#isOpen) return '503 5.5.1 Nested MAIL command';
      if (stage === 'DATA' && this.#accepted === 0) return '554 5.5.1 No valid recipients';
      if (stage === 'STARTTLS' && (tls === undefined || this.#isSecure)) return '502 5.5.1 Not offered';
      if (stage === 'AUTH' && login !== undefined) {
        this.#dialog = loginDialog(login, line);
        this.#converse(this.#dialog);
        return null;
      }
      return usual[stage] ?? '500 5.5.2 Unknown command';
    }

    #offers(): string {
      const starttls = tls !== undefined && !this.#isSecure ? ['STARTTLS'] : [];
      const auth = login === undefined ? [] : [`AUTH ${login.methods.join(' ')}`];
      const lines = ['scripted', ...extensions, ...starttls, ...auth];
      return lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
    }

    #converse(dialog: LoginDialog, ...line: [] | [string]): void {
      const next = dialog.next(...(line as [string]));
      if (next.done) this.#dialog = null;
      if (!next.done) this.act(next.value);
      else {
        const answer = next.value ? '235 2.7.0 Ok' : '535 5.7.8 Authentication credentials invalid';
        this.act(login?.isWordy ? `${answer.replace(' ', '-')}\r\n${answer}` : answer);
      }
    }

    #goSecret(): void {
      const socket = this.#socket as Socket;
      socket.removeAllListeners('data');
      socket.removeAllListeners('end');
      this.#held = '';
      this.#isSecure = true;
      secure(socket, this, false);
    }
  }

  const server = createServer({ allowHalfOpen: true, noDelay: true }, accept);
  const listen = (port: number) => new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    ...seen,
    secured,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    get peak() {
      return peak;
    },
    interrupt(what) {
      for (const talk of sockets.values()) talk.act(what);
    },
    shut: () => void server.close(),
    reopen: () => listen(port),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.keys()) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
