/** A Postrider as `npm start` has it, and a terminal beside it in which the examples of the documents are typed as they stand. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ApiClient, apiClient, type Env, type Postrider, startPostrider } from './postrider.ts';
import { openReceiver, type Receiver } from './receiver.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

export type Terminal = AsyncDisposable & {
  readonly postrider: Postrider;
  /** With the key that was made here. */
  readonly api: ApiClient;
  /** What listens at the port 9000 of the examples. */
  readonly receiver: Receiver;
  /** A block with the addresses, folders and files of here in it, and for `em_…` the id that was answered last. */
  typed(block: string): string;
  /** What a block of shell prints. @throws when it ends with a fault, as curl does here at an answer that tells of a problem */
  sh(block: string): Promise<string>;
  /** The same of a block of JavaScript. */
  js(block: string): Promise<string>;
};

/** As curl does with `fail`: examples in JavaScript need not look, and an SDK returns what went wrong. */
const strictFetch = `const { fetch } = globalThis;
globalThis.fetch = async (...asked) => {
  const answer = await fetch(...asked).catch((error) => ({ ok: false, status: 0, text: async () => String(error) }));
  if (answer.ok) return answer;
  console.error(answer.status, await answer.text());
  process.exit(22);
};`;

export async function openTerminal(): Promise<Terminal> {
  await using opening = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'pr-terminal-'));
  opening.defer(() => rm(dir, { recursive: true, force: true }));
  const receiver = opening.use(await openReceiver());
  const settings = { DATA_DIR: dir, POSTRIDER_API_KEY: undefined, SECRET_KEY: undefined };
  const postrider = opening.use(await startPostrider(settings));
  // Killed, it would leave behind the Redis it started.
  opening.defer(async () => {
    postrider.kill('SIGTERM');
    await postrider.ended;
  });
  const key = (await readFile(join(dir, 'api-key'), 'utf8')).trim();
  const ids = new Map<string, string>();
  await writeFile(join(dir, '.curlrc'), 'fail\nshow-error\n');
  await writeFile(join(dir, 'list.csv'), 'email\ndelivered@sandbox.invalid\n');

  function typed(block: string): string {
    return block
      .replaceAll('http://127.0.0.1:8080', postrider.url)
      .replaceAll('http://127.0.0.1:9000/', receiver.url)
      .replaceAll('https://mail.example.com', postrider.url)
      .replaceAll('.postrider/', `${dir}/`)
      .replaceAll(/(?<= )(?=[\w-]+\.(?:csv|ndjson)\b)/g, `${dir}/`)
      .replaceAll(/\b([a-z]{2})_…/g, (blank, kind) => ids.get(kind) ?? blank);
  }

  async function run(program: string, args: readonly string[], env: Env): Promise<string> {
    const { stdout } = await execute(program, args, { cwd: root, env: { ...process.env, ...env } });
    for (const [, id = '', kind = ''] of stdout.matchAll(/"id":"(([a-z]{2})_\w+)"/g)) ids.set(kind, id);
    return stdout;
  }

  const strictly = [
    '--import',
    `data:text/javascript,${encodeURIComponent(strictFetch)}`,
    '--input-type=module',
    '--eval',
  ];
  const here = { DATA_DIR: dir, PORT: new URL(postrider.url).port, CURL_HOME: dir };
  const opened = opening.move();
  return {
    postrider,
    api: apiClient(postrider.url, key),
    receiver,
    typed,
    // As in a clone that is new, where no variable says the key, but for the one of an operator.
    sh: (block) => run('sh', ['-ec', typed(block)], { ...here, POSTRIDER_API_KEY: undefined, KEY: key }),
    js: (block) => run(process.execPath, [...strictly, typed(block)], { POSTRIDER_API_KEY: key }),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
