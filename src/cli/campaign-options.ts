/** The options of `campaign`. */
import type { parseArgs } from 'node:util';

export const usage = [
  'Usage: campaign send <list.csv|.ndjson|.json[.gz]> --template <id or alias> [--from "Acme <a@b.c>"] [--subject …]',
  '         [--name …] [--rate 100/s] [--route …] [--at <time>] [--skip-invalid] [--watch]',
  '       campaign send <list> --campaign <id> [--skip-invalid] [--watch]     continues one that broke off',
  '       campaign status|watch|pause|resume|cancel <id>',
  '  --skip-invalid sends even if some records are not valid, to all others',
  '  --at takes 2026-12-07T09:00:00Z, or "in 5 minutes", "in 1 hour", "in 3 days"',
  '  --url and --key choose the API; the default is the one of this environment',
].join('\n');

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
export const options = {
  template: text,
  from: text,
  subject: text,
  name: text,
  rate: text,
  route: text,
  at: text,
  campaign: text,
  url: text,
  key: text,
  'skip-invalid': flag,
  watch: flag,
  help: { ...flag, short: 'h' },
} as const;

export type Given = ReturnType<typeof parseArgs<{ options: typeof options; allowPositionals: true }>>['values'];
