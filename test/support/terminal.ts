/** A Postrider as `npm start` has it, and a terminal beside it in which the examples of the documents are typed as they stand. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type ApiClient, apiClient, type Postrider, startPostrider } from './postrider.ts';
import { openReceiver, type Receiver } from './receiver.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

export type Terminal = AsyncDisposable & {
  readonly postrider: Postrider;
  /** With the key that was made here. */
  readonly api: ApiClient;
  /** What listens at the port 9000 of the examples. */
  readonly receiver: Receiver;
  /** A block with the addresses and folders of here in it, and for `em_…` the id that was answered last. */
  typed(block: string): string;
  /** What a block of shell prints. @throws when it ends with a fault */
  sh(block: string): Promise<string>;
  /** The same of a block of JavaScript. */
  js(block: string): Promise<string>;
};

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

  function typed(block: string): string {
    return block
      .replaceAll('http://127.0.0.1:8080', postrider.url)
      .replaceAll('http://127.0.0.1:9000/', receiver.url)
      .replaceAll('.postrider/', `${dir}/`)
      .replaceAll(/\b([a-z]{2})_…/g, (blank, kind) => ids.get(kind) ?? blank);
  }

  async function run(program: string, args: readonly string[], apiKey?: string): Promise<string> {
    const options = { cwd: root, env: { ...process.env, POSTRIDER_API_KEY: apiKey } };
    const { stdout } = await execute(program, args, options);
    for (const [, id = '', kind = ''] of stdout.matchAll(/"id":"(([a-z]{2})_\w+)"/g)) ids.set(kind, id);
    return stdout;
  }

  const opened = opening.move();
  return {
    postrider,
    api: apiClient(postrider.url, key),
    receiver,
    typed,
    // As in a clone that is new, where no variable says the key.
    sh: (block) => run('sh', ['-ec', typed(block)]),
    js: (block) => run(process.execPath, ['--input-type=module', '--eval', typed(block)], key),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}
