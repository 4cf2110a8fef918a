/** An SMTP server on a bare socket that does at each stage what a test says: answer anything, stall, or drop the connection. */
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** A reply line, or what to do instead of replying. */
export type Act = string | 'drop' | 'stall';

export type Stage = 'connect' | 'EHLO' | 'AUTH' | 'MAIL' | 'RCPT' | 'DATA' | 'body' | 'RSET' | 'QUIT';

export type ScriptedSmtp = AsyncDisposable & {
  readonly port: number;
  /** Every command line it was sent, over all connections. */
  readonly lines: readonly string[];
  /** Bodies that came in whole, dots still stuffed. */
  readonly bodies: readonly string[];
  readonly connections: number;
};

const usual: Record<Stage, string> = {
  connect: '220 scripted ESMTP',
  EHLO: '250-scripted\r\n250 PIPELINING',
  AUTH: '235 2.7.0 Ok',
  MAIL: '250 2.1.0 Ok',
  RCPT: '250 2.1.5 Ok',
  DATA: '354 Go on',
  body: '250 2.0.0 Ok: queued',
  RSET: '250 2.0.0 Ok',
  QUIT: '221 2.0.0 Bye',
};

/** @param act asked at each stage with the line that led there; undefined does the usual */
export async function openScriptedSmtp(act: (stage: Stage, line: string) => Act | undefined): Promise<ScriptedSmtp> {
  const lines: string[] = [];
  const bodies: string[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;

  function talk(socket: Socket): void {
    connections += 1;
    sockets.add(socket);
    let held = '';
    let inBody = false;
    let isOpen = false;
    let accepted = 0;
    /** As any server does: a transaction ends with its body or RSET, and one without a recipient has no DATA. */
    const otherwise = (stage: Stage) => {
      if (stage === 'MAIL' && isOpen) return '503 5.5.1 Nested MAIL command';
      return stage === 'DATA' && accepted === 0 ? '554 5.5.1 No valid recipients' : usual[stage];
    };
    const answer = (stage: Stage, line: string) => {
      const what = act(stage, line) ?? otherwise(stage);
      if (stage === 'MAIL') isOpen ||= what.startsWith('250');
      if (stage === 'RCPT' && what.startsWith('250')) accepted += 1;
      if (stage === 'RSET' || stage === 'body') {
        isOpen = false;
        accepted = 0;
      }
      if (what === 'drop') socket.destroy();
      else if (what !== 'stall') socket.write(`${what}\r\n`);
      if (stage === 'DATA') inBody = what.startsWith('354');
      if (stage === 'QUIT') socket.end();
    };
    const step = (): boolean => {
      const end = held.indexOf(inBody ? '\r\n.\r\n' : '\r\n');
      if (end < 0 || socket.destroyed) return false;
      const piece = held.slice(0, end);
      held = held.slice(end + (inBody ? 5 : 2));
      if (inBody) {
        inBody = false;
        bodies.push(piece);
        answer('body', '');
      } else {
        lines.push(piece);
        answer(piece.slice(0, 4).toUpperCase() as Stage, piece);
      }
      return true;
    };
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      held += chunk.toString();
      while (step());
    });
    answer('connect', '');
  }

  const server = createServer(talk);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    port: (server.address() as AddressInfo).port,
    lines,
    bodies,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
