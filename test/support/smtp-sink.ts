/** Postfix's smtp-sink, where it is installed: an SMTP server by other hands, which leaves each message in a file. */
import { accessSync, constants } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { type ParsedMail, simpleParser } from 'mailparser';
import { freePort } from './free-port.ts';
import { startProcess } from './processes.ts';
import { until } from './until.ts';

export type SmtpSink = AsyncDisposable & {
  readonly port: number;
  mails(): Promise<{ readonly parsed: ParsedMail; readonly rcpt: readonly string[] }[]>;
};

/** Debian keeps it out of a user's PATH. */
export function findSmtpSink(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, 'smtp-sink')).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param args such as `-r rcpt` to refuse; see smtp-sink(1) */
export async function openSmtpSink(program: string, args: readonly string[] = []): Promise<SmtpSink> {
  const dir = await mkdtemp(join(tmpdir(), 'pr-sink-'));
  const port = await freePort();
  // Run by root it insists on dropping to another user, and root is the one who owns the folder.
  const asUser = userInfo().uid === 0 ? ['-u', 'root'] : [];
  const sink = startProcess(program, [...asUser, '-d', '%M.', ...args, `127.0.0.1:${port}`, '100'], { cwd: dir });
  await until('smtp-sink to listen', () => canConnect(port));
  return {
    port,
    async mails() {
      const files = await readdir(dir);
      return Promise.all(files.map((file) => readMail(join(dir, file))));
    },
    async [Symbol.asyncDispose]() {
      await sink[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The sink writes the envelope above the message, as headers of its own. */
async function readMail(path: string): Promise<{ parsed: ParsedMail; rcpt: string[] }> {
  const raw = await readFile(path);
  const rcpt = [...raw.toString('latin1').matchAll(/^X-Rcpt-Args: <([^>]*)>/gm)].map(([, address = '']) => address);
  return { parsed: await simpleParser(raw), rcpt };
}

async function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(() => resolve(true)));
    socket.on('error', () => resolve(false));
  });
}
