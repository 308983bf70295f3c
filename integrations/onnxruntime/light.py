import sys, glob, os, time
sys.path.insert(0, 'python')
import numpy as np, onnx, onnxruntime as ort
import convlow_onnxruntime as convlow
ort.set_default_logger_severity(3)
d = os.path.join(os.path.dirname(onnx.__file__), 'backend/test/data/light')
for f in sorted(glob.glob(d + '/*.onnx')):
    name = os.path.basename(f)[6:-5]
    if name in ('vgg19',) : continue
    m = onnx.load(f)
    def sess(c=None, threads=1):
        o = ort.SessionOptions(); o.intra_op_num_threads = threads; o.log_severity_level = 3
        if c: convlow.use(o, **c); return ort.InferenceSession(f, o)
        return ort.InferenceSession(f, o, providers=['CPUExecutionProvider'])
    try:
        a = sess(); b = sess({'math': 'exact'})
    except Exception as e:
        print(name, 'ERR', str(e)[:200]); continue
    x = {i.name: np.random.default_rng(0).standard_normal([s if isinstance(s, int) else 1 for s in i.shape]).astype(np.float32) for i in a.get_inputs()}
    ra, rb = a.run(None, x), b.run(None, x)
    err = max(np.abs(p - q).max() / max(np.abs(p).max(), 1e-30) for p, q in zip(ra, rb))
    ta, tb = [], []
    for _ in range(5):
        t = time.perf_counter(); a.run(None, x); ta.append(time.perf_counter() - t)
        t = time.perf_counter(); b.run(None, x); tb.append(time.perf_counter() - t)
    rep = convlow.report(b); claimed = sum(l.claimed for l in rep)
    print(f"{name:16} err {err:.1e} claimed {claimed}/{len(rep)} fused {sum(len(l.fused) for l in rep)} ort {np.median(ta)*1e3:8.1f} ms convlow {np.median(tb)*1e3:8.1f} ms ratio {np.median(ta)/np.median(tb):.3f}", flush=True)
