// Reads formulas from its input, a line of JSON for each, and writes each as HTML in the same way.
"use strict";
const katex = require(process.argv[2]);
require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const { latex, displayMode } = JSON.parse(line);
    let answer;
    try {
      answer = { html: katex.renderToString(latex, { displayMode, throwOnError: true }) };
    } catch (error) {
      answer = { error: error.message };
    }
    process.stdout.write(JSON.stringify(answer) + "\n");
  });
