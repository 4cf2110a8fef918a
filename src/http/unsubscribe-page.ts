/** The pages behind an unsubscribe link: plain, readable in any browser. Nothing on them runs or is fetched. */
import { maskAddress } from '../domain/address.ts';
import { escapeHtml } from '../domain/escape-html.ts';

export const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  // The link is a secret of its recipient.
  'referrer-policy': 'no-referrer',
  'x-robots-tag': 'noindex, nofollow',
  'cache-control': 'no-store',
};

/** The page that asks for confirmation. A GET changes nothing: scanners of mail follow every link. */
export function askingPage(address: string): string {
  return page(
    'Unsubscribe',
    `<p>Do you want no more mailings at <strong>${escapeHtml(maskAddress(address))}</strong>?</p>
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button type="submit">Unsubscribe</button>
</form>
<p>Mail about your own account, such as receipts and codes, is not affected.</p>`,
  );
}

export function donePage(address: string): string {
  const whom = `<strong>${escapeHtml(maskAddress(address))}</strong>`;
  return page('You are unsubscribed', `<p role="status">${whom} gets no more mailings.</p>`);
}

export function unknownPage(): string {
  return page(
    'This link does not work',
    '<p>It is incomplete or was changed. Please use the one in the email as it is.</p>',
  );
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>
body { font: 1.125rem/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 0 }
main { max-width: 34rem; margin: 15vh auto 0; padding: 0 1.5rem }
button { font: inherit; padding: .6rem 1.4rem; border: 2px solid #1a4fba; border-radius: .4rem; background: #1a4fba; color: #fff; cursor: pointer }
button:focus-visible { outline: 3px solid #f5a623; outline-offset: 2px }
</style>
</head>
<body>
<main>
<h1>${title}</h1>
${body}
</main>
</body>
</html>
`;
}
