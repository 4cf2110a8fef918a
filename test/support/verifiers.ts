/** The languages in which docs/webhooks.md verifies a webhook: how its code is run on cases, where the language is on this machine. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a consumer was sent. */
export type Posted = {
  readonly secret: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** `files` are the code of the document and what runs it, which reads a list of `Posted` and prints for each whether it is genuine. */
type Verifier = {
  readonly language: string;
  readonly command: readonly [program: string, ...args: string[]];
  files(code: string): Readonly<Record<string, string>>;
  /** Prints its version, and fails where it is not here. */
  readonly probe: readonly [program: string, arg: string];
};

const nodeMain = `import { readFileSync } from 'node:fs';
import { verify } from './verify.mjs';

function isGenuine({ secret, headers, body }) {
  try {
    return 'data' in verify(secret, headers, body);
  } catch {
    return false;
  }
}
console.log(JSON.stringify(JSON.parse(readFileSync('cases.json', 'utf8')).map(isGenuine)));
`;

const pythonMain = `import json
from verify import verify


def is_genuine(case):
    try:
        return "data" in verify(case["secret"], case["headers"], case["body"].encode())
    except ValueError:
        return False


with open("cases.json", encoding="utf-8") as file:
    print(json.dumps([is_genuine(case) for case in json.load(file)]))
`;

const goMain = `package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	text, _ := os.ReadFile("cases.json")
	var cases []struct {
		Secret, Body string
		Headers      map[string]string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		panic(err)
	}
	answers := []bool{}
	for _, c := range cases {
		header := func(name string) string { return c.Headers[name] }
		answers = append(answers, Verify(c.Secret, header, []byte(c.Body)) == nil)
	}
	printed, _ := json.Marshal(answers)
	fmt.Println(string(printed))
}
`;

const phpMain = `<?php
require 'verify.php';
$isGenuine = function (array $case): bool {
    try {
        return isset(verify($case['secret'], $case['headers'], $case['body'])['data']);
    } catch (RuntimeException) {
        return false;
    }
};
echo json_encode(array_map($isGenuine, json_decode(file_get_contents('cases.json'), true)));
`;

export const verifiers: readonly Verifier[] = [
  {
    language: 'js',
    command: [process.execPath, 'main.mjs'],
    files: (code) => ({ 'verify.mjs': code, 'main.mjs': nodeMain }),
    probe: [process.execPath, '--version'],
  },
  {
    language: 'python',
    command: ['python3', 'main.py'],
    files: (code) => ({ 'verify.py': code, 'main.py': pythonMain }),
    probe: ['python3', '--version'],
  },
  {
    language: 'go',
    command: ['go', 'run', 'verify.go', 'main.go'],
    files: (code) => ({ 'verify.go': code.replace('package webhook', 'package main'), 'main.go': goMain }),
    probe: ['go', 'version'],
  },
  {
    language: 'php',
    command: ['php', 'main.php'],
    files: (code) => ({ 'verify.php': code, 'main.php': phpMain }),
    probe: ['php', '--version'],
  },
];

export function isHere({ probe: [program, arg] }: Verifier): boolean {
  try {
    execFileSync(program, [arg], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** For each case whether the code takes it for genuine. @param dir a folder of its own */
export function verifyIn(verifier: Verifier, code: string, cases: readonly Posted[], dir: string): boolean[] {
  const files = { ...verifier.files(code), 'cases.json': JSON.stringify(cases) };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const [program, ...args] = verifier.command;
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '' };
  return JSON.parse(execFileSync(program, args, { cwd: dir, encoding: 'utf8', env }));
}
