"""Turns other products' resources into ours, and says of every field what became of it. Pure: text in, documents out.

`documents` reads and dispatches, `kserve`, `llminference`, `kserveruntime` and `kubeai` know one schema each, `ledger`
keeps the account that nothing leaves unseen, `fit` holds what comes out to our own models and engines.
"""
