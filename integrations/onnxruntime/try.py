import sys, os, time
sys.path.insert(0, 'python')
import numpy as np, onnx, onnxruntime as ort
from onnx import helper as h, TensorProto as T, numpy_helper as nh
import convlow_onnxruntime as convlow
rng = np.random.default_rng(0)
def model(cin=8, cout=16, hw=20, **kw):
    w = rng.standard_normal((cout, cin, 3, 3)).astype(np.float32); b = rng.standard_normal(cout).astype(np.float32)
    w2 = rng.standard_normal((cout, cout, 1, 1)).astype(np.float32)
    wt = rng.standard_normal((cout, 4, 4, 4)).astype(np.float32)
    nodes = [h.make_node('Conv', ['x', 'w', 'b'], ['a'], name='c0', pads=[1, 1, 1, 1]), h.make_node('Relu', ['a'], ['a1'], name='r0'),
             h.make_node('Conv', ['a1', 'w2'], ['c'], name='c1'), h.make_node('Add', ['c', 'a1'], ['d'], name='add'), h.make_node('Clip', ['d', 'lo', 'hi'], ['e'], name='clip'),
             h.make_node('ConvTranspose', ['e', 'wt'], ['y'], name='t0', strides=[2, 2], pads=[1, 1, 1, 1])]
    init = [nh.from_array(w, 'w'), nh.from_array(b, 'b'), nh.from_array(w2, 'w2'), nh.from_array(wt, 'wt'), nh.from_array(np.float32(0), 'lo'), nh.from_array(np.float32(6), 'hi')]
    g = h.make_graph(nodes, 'g', [h.make_tensor_value_info('x', T.FLOAT, ['n', cin, 'h', 'w_'])], [h.make_tensor_value_info('y', T.FLOAT, None)], init)
    return h.make_model(g, opset_imports=[h.make_opsetid('', 17)], ir_version=9)
m = model().SerializeToString()
x = rng.standard_normal((2, 8, 20, 21)).astype(np.float32)
ref = ort.InferenceSession(m, providers=['CPUExecutionProvider']).run(None, {'x': x})[0]
for math in ('exact', 'fast'):
    o = ort.SessionOptions()
    convlow.use(o, math=math, verbose=True)
    s = ort.InferenceSession(m, o)
    y = s.run(None, {'x': x})[0]
    print(math, y.shape, np.abs(y - ref).max() / np.abs(ref).max())
    print(convlow.report(s))
