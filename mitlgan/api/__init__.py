"""The functions of `import mitlgan`: the commands' stages with typed arguments and results, for scripts and notebooks."""
