// After a change of package.json: `npm run lock`. The lock file names versions and their hashes, and no registry: whoever
// installs takes them from the one that they have configured. (npm's own option for that leaves out versions of other platforms.)
import { execSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

const lock = new URL("package-lock.json", import.meta.url);
execSync("npm install --no-audit --no-fund --omit-lockfile-registry-resolved=false", { stdio: "inherit" });
const found = JSON.parse(readFileSync(lock, "utf8"));
for (const one of Object.values(found.packages)) delete one.resolved;
writeFileSync(lock, `${JSON.stringify(found, null, 2)}\n`);
